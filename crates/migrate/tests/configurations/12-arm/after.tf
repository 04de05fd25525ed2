module "arm" {
  source                      = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "arm-2"
  enable_organization_runners = true
  github_app                  = var.github_app
  runner_architecture         = "arm64"
  instance_types              = ["t4g.large", "c6g.large"]
  logging_retention_in_days   = 7
}
