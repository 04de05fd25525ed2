module "runners" {
  source                      = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "fallback-2"
  enable_organization_runners = true
  github_app                  = var.github_app
  capacity                    = { market = "spot-then-on-demand", allocation_strategy = "prioritized", spot_max_price = "0.25" }
  instance_types              = ["c6i.xlarge", "c5.xlarge"]
}
