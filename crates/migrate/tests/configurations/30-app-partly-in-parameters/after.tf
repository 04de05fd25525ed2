resource "aws_ssm_parameter" "key" {
  name  = "/acme/key"
  type  = "SecureString"
  value = var.key
}

module "runners" {
  source                      = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "partly-2"
  enable_organization_runners = true
  github_app = {
    id             = var.id
    key_base64_ssm = { name = aws_ssm_parameter.key.name, arn = aws_ssm_parameter.key.arn }
    webhook_secret = var.webhook_secret
  }
}
