module "runners" {
  source   = "../../vendor/terraform-aws-github-runner"
  for_each = toset(["blue", "green"])

  aws_region                     = var.region
  vpc_id                         = var.vpc_id
  subnet_ids                     = var.subnet_ids
  prefix                         = each.key
  enable_organization_runners    = true
  github_app                     = var.github_app
  enable_ephemeral_runners       = false
  runners_maximum_count          = 4
  scale_down_schedule_expression = "cron(*/5 * * * ? *)"
}

output "endpoints" {
  value = { for name in ["blue", "green"] : name => module.runners[name].webhook.endpoint }
}

output "secret" {
  value = module.runners["blue"].ssm_parameters.webhook_secret.name
}
