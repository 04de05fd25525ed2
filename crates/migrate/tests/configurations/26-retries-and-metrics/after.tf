module "runners" {
  source                      = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "retry-2"
  enable_organization_runners = true
  github_app                  = var.github_app
  register_at                 = "acme"
  idle_config = [{
    cron             = "* * 9-17 * * 1-5"
    timeZone         = "Europe/Berlin"
    idleCount        = 1
    evictionStrategy = "newest_first"
  }]
}
