# The example environment of philips-labs/github-runner, with `source` changed and nothing else.

module "network" {
  source = "../../modules/network"

  name = "seed"
}

module "runners" {
  source = "../.."

  aws_region = var.aws_region
  vpc_id     = module.network.vpc_id
  subnet_ids = module.network.private_subnet_ids

  environment = "seed"
  tags = {
    Project = "ProjectX"
  }

  github_app = {
    key_base64     = var.github_app.key_base64
    id             = var.github_app.id
    client_id      = var.github_app.client_id
    client_secret  = var.github_app.client_secret
    webhook_secret = var.github_app.webhook_secret
  }

  enable_organization_runners = true
  runner_extra_labels         = "auto-scale,aws,seed"
  runner_group_name           = "default"
  runners_maximum_count       = 10

  # There, runners are used again until they have been idle for this long.
  ephemeral                       = false
  minimum_running_time_in_minutes = 5
  scale_down_schedule_expression  = "cron(* * * * ? *)"

  idle_config = [{
    cron      = "* * 9-17 * * 1-5"
    timeZone  = "Europe/Amsterdam"
    idleCount = 1
  }]

  enable_ssm_on_runners = true
}
