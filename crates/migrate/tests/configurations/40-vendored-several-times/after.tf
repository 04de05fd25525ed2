module "runners" {
  source   = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"
  for_each = toset(["blue", "green"])

  aws_region                     = var.region
  vpc_id                         = var.vpc_id
  subnet_ids                     = var.subnet_ids
  environment                    = "${each.key}-2"
  enable_organization_runners    = true
  github_app                     = var.github_app
  ephemeral                      = false
  runners_maximum_count          = 4
  scale_down_schedule_expression = "cron(*/5 * * * ? *)"
}

output "endpoints" {
  value = { for name in ["blue", "green"] : name => module.runners[name].webhook_endpoint }
}

output "secret" {
  value = module.runners["blue"].webhook_secret_parameter
}
