module "github-runner" {
  source  = "philips-labs/github-runner/aws"
  version = "0.11.0"

  aws_region                  = "eu-west-1"
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "ci"
  enable_organization_runners = true
  github_app = {
    key_base64     = var.key
    id             = var.id
    client_id      = var.client_id
    client_secret  = var.client_secret
    webhook_secret = var.webhook_secret
  }
  ami_owners = ["self"]
  ami_filter = { name = ["ci-runner-2023-*"] }
  block_device_mappings = {
    device_name = "/dev/xvda"
    volume_size = "100"
    encrypted   = "true"
  }
  instance_type         = "c5.2xlarge"
  key_name              = "ops"
  runners_maximum_count = 20
  idle_config = [{
    cron      = "* * 8-18 * * 1-5"
    timeZone  = "Europe/Amsterdam"
    idleCount = 2
  }]
  runners_lambda_zip                = "../lambdas/runners.zip"
  webhook_lambda_zip                = "../lambdas/webhook.zip"
  runner_binaries_syncer_lambda_zip = "../lambdas/runner-binaries-syncer.zip"
}
