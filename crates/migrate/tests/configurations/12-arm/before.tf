module "arm" {
  source                      = "philips-labs/github-runner/aws"
  version                     = "0.37.0"
  aws_region                  = var.region
  aws_partition               = "aws"
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "arm"
  enable_organization_runners = true
  github_app                  = var.github_app
  runner_architecture         = "arm64"
  instance_types              = ["t4g.large", "c6g.large"]
  logging_kms_key_id          = "arn:aws:kms:eu-west-1:123456789012:key/abc"
  logging_retention_in_days   = 7
  disable_runner_autoupdate   = true
  enable_job_queued_check     = true
}
