module "runners" {
  source                                        = "github.com/github-aws-runners/terraform-aws-github-runner?ref=v6.0.1"
  aws_region                                    = var.region
  vpc_id                                        = var.vpc_id
  subnet_ids                                    = var.subnet_ids
  prefix                                        = "bridge"
  enable_organization_runners                   = true
  github_app                                    = var.github_app
  eventbridge                                   = { enable = true, accept_events = ["workflow_job"] }
  ssm_paths                                     = { root = "github-action-runners", app = "app" }
  scale_up_reserved_concurrent_executions       = 5
  webhook_lambda_apigateway_access_log_settings = null
}

output "endpoint" {
  value = module.runners.webhook["endpoint"]
}
