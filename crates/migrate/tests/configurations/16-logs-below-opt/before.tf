module "runners" {
  source                                      = "philips-labs/github-runner/aws"
  version                                     = "3.0.0"
  aws_region                                  = var.region
  vpc_id                                      = var.vpc_id
  subnet_ids                                  = var.subnet_ids
  prefix                                      = "opt"
  enable_organization_runners                 = true
  github_app                                  = var.github_app
  runner_name_prefix                          = "opt_"
  enable_runner_workflow_job_labels_check_all = false
  runner_log_files = [{
    log_group_name   = "runner"
    prefix_log_group = true
    file_path        = "/opt/actions-runner/_diag/Worker_**.log"
    log_stream_name  = "{instance_id}"
  }]
}
