resource "aws_ssm_parameter" "key" {
  name  = "/acme/key"
  type  = "SecureString"
  value = var.key
}

module "runners" {
  source                      = "github-aws-runners/github-runner/aws"
  version                     = "6.4.2"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  prefix                      = "partly"
  enable_organization_runners = true
  github_app = {
    id             = var.id
    key_base64_ssm = { name = aws_ssm_parameter.key.name, arn = aws_ssm_parameter.key.arn }
    webhook_secret = var.webhook_secret
  }
  kms_key_arn = null
}
