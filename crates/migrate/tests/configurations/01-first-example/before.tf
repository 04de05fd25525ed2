module "runners" {
  source  = "philips-labs/github-runner/aws"
  version = "0.12.0"

  aws_region  = var.region
  vpc_id      = var.vpc_id
  subnet_ids  = var.subnet_ids
  environment = "default"
  tags        = { Project = "ProjectX" }

  github_app = {
    key_base64     = var.key
    id             = var.id
    client_id      = var.client_id
    client_secret  = var.client_secret
    webhook_secret = var.webhook_secret
  }

  webhook_lambda_zip                = "lambdas-download/webhook.zip"
  runner_binaries_syncer_lambda_zip = "lambdas-download/runner-binaries-syncer.zip"
  runners_lambda_zip                = "lambdas-download/runners.zip"
  enable_organization_runners       = false
  runner_extra_labels               = "default,example"

  enable_ssm_on_runners = true
}

output "webhook_endpoint" {
  value = module.runners.webhook.endpoint
}
