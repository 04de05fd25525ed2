module "runners" {
  source                      = "philips-labs/github-runner/aws"
  version                     = "0.40.4"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "pool"
  enable_organization_runners = true
  github_app                  = var.github_app
  pool_runner_owner           = "acme"
  pool_config = [{
    size                = 5
    schedule_expression = "cron(0 7 ? * MON-FRI *)"
  }]
  pool_lambda_timeout = 60
  volume_size         = 80
}
