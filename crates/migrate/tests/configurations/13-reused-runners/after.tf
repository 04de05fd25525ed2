module "runners" {
  source                          = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"
  aws_region                      = var.region
  vpc_id                          = var.vpc_id
  subnet_ids                      = var.subnet_ids
  environment                     = "reused-2"
  enable_organization_runners     = true
  github_app                      = var.github_app
  ephemeral                       = false
  minimum_running_time_in_minutes = 30
  scale_down_schedule_expression  = "cron(*/10 * * * ? *)"
  runner_as_root                  = true
  runner_extra_labels             = "reused"
  lambda_architecture             = "arm64"
}
