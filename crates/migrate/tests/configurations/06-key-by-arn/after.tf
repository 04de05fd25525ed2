module "runners" {
  source = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"

  aws_region                           = var.region
  vpc_id                               = var.vpc_id
  subnet_ids                           = var.subnet_ids
  environment                          = "secure-2"
  enable_organization_runners          = true
  github_app                           = var.github_app
  kms_key_id                           = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  manage_kms_key                       = false
  delay_webhook_event                  = 5
  allowed_repositories                 = ["acme/shop", "acme/web"]
  runner_additional_security_group_ids = ["sg-0123456789abcdef0"]
}
