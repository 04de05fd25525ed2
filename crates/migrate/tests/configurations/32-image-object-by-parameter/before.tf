module "runners" {
  source                      = "github-aws-runners/github-runner/aws"
  version                     = "6.10.1"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  prefix                      = "byarn"
  enable_organization_runners = true
  github_app                  = var.github_app
  ami = {
    id_ssm_parameter_arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/images/runner"
    kms_key_arn          = "arn:aws:kms:eu-west-1:123456789012:key/abc"
  }
  runner_binaries_s3_tags = { Data = "public" }
  user_agent              = "acme"
}
