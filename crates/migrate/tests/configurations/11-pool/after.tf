module "runners" {
  source                      = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "pool-2"
  enable_organization_runners = true
  github_app                  = var.github_app
  register_at                 = "acme"
  idle_config = [{
    cron      = "* * 7-18 * * 1-5"
    timeZone  = "UTC"
    idleCount = 5
  }]
  block_device_mappings = { volume_size = 80 }
}
