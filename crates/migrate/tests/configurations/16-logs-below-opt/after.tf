module "runners" {
  source                      = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "opt-2"
  enable_organization_runners = true
  github_app                  = var.github_app
  runner_log_files = [{
    log_group_name   = "runner"
    prefix_log_group = true
    file_path        = "/home/ec2-user/actions-runner/_diag/Worker_**.log"
    log_stream_name  = "{instance_id}"
  }]
}
