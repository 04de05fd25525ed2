module "multi-runner" {
  source                         = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"
  aws_region                     = var.region
  vpc_id                         = var.vpc_id
  subnet_ids                     = var.subnet_ids
  environment                    = "multi-2"
  enable_organization_runners    = true
  github_app                     = var.github_app
  scale_down_schedule_expression = "cron(* * * * ? *)"
  scale_sets = {
    "linux-x64" = {
      labels                      = ["amazon"]
      runner_architecture         = "x64"
      enable_ssm_on_runners       = true
      instance_types              = ["m5ad.large", "m5a.large"]
      runners_maximum_count       = 1
      enable_organization_runners = true
    }
  }
}
