module "runners" {
  source                      = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "logs-2"
  enable_organization_runners = true
  github_app                  = var.github_app
  enable_cloudwatch_agent     = true
  runner_log_files = [
    {
      log_group_name   = "syslog"
      prefix_log_group = true
      file_path        = "/var/log/syslog"
      log_stream_name  = "{instance_id}"
    },
    {
      log_group_name   = "runner"
      prefix_log_group = true
      file_path        = "/home/ec2-user/actions-runner/_diag/Runner_**.log"
      log_stream_name  = "{instance_id}"
    },
  ]
}
