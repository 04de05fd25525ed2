module "runners" {
  source                      = "github-aws-runners/github-runner/aws"
  version                     = "5.16.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  prefix                      = "retry"
  enable_organization_runners = true
  github_app                  = var.github_app
  job_retry = {
    enable           = true
    delay_in_seconds = 180
    max_attempts     = 3
  }
  metrics        = { enable = true, metric = { enable_github_app_rate_limit = true } }
  tracing_config = { mode = "Active", capture_error = true, capture_http_requests = true }
  idle_config = [{
    cron             = "* * 9-17 * * 1-5"
    timeZone         = "Europe/Berlin"
    idleCount        = 1
    evictionStrategy = "newest_first"
  }]
}
