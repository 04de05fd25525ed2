module "runners" {
  source                      = "github-aws-runners/github-runner/aws"
  version                     = "6.3.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  prefix                      = "parameters"
  enable_organization_runners = true
  github_app = {
    id_ssm = {
      name = "/github/app/id"
      arn  = "arn:aws:ssm:eu-west-1:123456789012:parameter/github/app/id"
    }
    key_base64_ssm = {
      name = "/github/app/key"
      arn  = "arn:aws:ssm:eu-west-1:123456789012:parameter/github/app/key"
    }
    webhook_secret_ssm = {
      name = "/github/app/secret"
      arn  = "arn:aws:ssm:eu-west-1:123456789012:parameter/github/app/secret"
    }
  }
}
