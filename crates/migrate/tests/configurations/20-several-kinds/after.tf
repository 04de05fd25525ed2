module "runners" {
  source = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"

  aws_region                      = var.region
  vpc_id                          = var.vpc_id
  subnet_ids                      = var.subnet_ids
  environment                     = "kinds-2"
  enable_organization_runners     = true
  github_app                      = var.github_app
  log_level                       = "debug"
  runners_scale_up_lambda_timeout = 60
  scale_sets = {
    small = {
      labels                      = ["small", "tiny"]
      priority                    = 989
      runner_architecture         = "x64"
      instance_types              = ["m6i.large"]
      runners_maximum_count       = 30
      enable_organization_runners = true
      market                      = "spot-then-on-demand"
      delay_webhook_event         = 0
    }
    graviton = {
      labels                      = ["graviton"]
      runner_architecture         = "arm64"
      instance_types              = ["m7g.large"]
      runners_maximum_count       = 10
      enable_organization_runners = true
      ephemeral                   = false
      block_device_mappings       = { volume_size = 100 }
    }
  }
}
