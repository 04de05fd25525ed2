module "runners" {
  source                           = "philips-labs/github-runner/aws"
  version                          = "0.27.2"
  aws_region                       = var.region
  vpc_id                           = var.vpc_id
  subnet_ids                       = var.subnet_ids
  environment                      = "stable"
  enable_organization_runners      = false
  github_app                       = var.github_app
  market_options                   = null
  instance_type                    = "m5.xlarge"
  runner_os                        = "linux"
  disable_check_wokflow_job_labels = true
  log_level                        = "silly"
  log_type                         = "pretty"
  job_queue_retention_in_seconds   = 3600
}
