module "runners" {
  source                      = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "ephemeral-2"
  enable_organization_runners = true
  github_app                  = var.github_app
  instance_types              = ["m5.large", "c5.large"]
  capacity                    = { market = "on-demand", allocation_strategy = "lowest-price" }
  runner_architecture         = "x64"
  runners_maximum_count       = 100
}
