module "runners" {
  source  = "philips-labs/github-runner/aws"
  version = "0.18.1"

  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "secure"
  enable_organization_runners = true
  github_app                  = var.github_app
  kms_key_arn                 = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  delay_webhook_event         = 5
  repository_white_list       = ["acme/shop", "acme/web"]
  runner_egress_rules = [{
    cidr_blocks      = ["10.0.0.0/8"]
    ipv6_cidr_blocks = []
    prefix_list_ids  = null
    from_port        = 443
    protocol         = "tcp"
    security_groups  = null
    self             = null
    to_port          = 443
    description      = null
  }]
  runner_additional_security_group_ids = ["sg-0123456789abcdef0"]
}
