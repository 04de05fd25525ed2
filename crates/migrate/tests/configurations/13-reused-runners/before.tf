module "runners" {
  source                                      = "philips-labs/github-runner/aws"
  version                                     = "1.18.2"
  aws_region                                  = var.region
  vpc_id                                      = var.vpc_id
  subnet_ids                                  = var.subnet_ids
  prefix                                      = "reused"
  enable_organization_runners                 = true
  github_app                                  = var.github_app
  enable_ephemeral_runners                    = false
  minimum_running_time_in_minutes             = 30
  scale_down_schedule_expression              = "cron(*/10 * * * ? *)"
  runner_as_root                              = true
  runner_extra_labels                         = "reused"
  runner_enable_workflow_job_labels_check     = true
  runner_enable_workflow_job_labels_check_all = true
  lambda_architecture                         = "arm64"
  lambda_runtime                              = "nodejs16.x"
}
