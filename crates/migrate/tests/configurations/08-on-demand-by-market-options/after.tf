module "runners" {
  source                      = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "stable-2"
  enable_organization_runners = false
  github_app                  = var.github_app
  capacity                    = { market = "on-demand" }
  instance_type               = "m5.xlarge"
  log_level                   = "trace"
}
