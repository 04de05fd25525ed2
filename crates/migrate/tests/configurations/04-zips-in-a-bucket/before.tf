module "runner" {
  source  = "philips-labs/github-runner/aws"
  version = "~> 0.10"

  aws_region                       = var.region
  vpc_id                           = var.vpc_id
  subnet_ids                       = var.subnet_ids
  environment                      = "gh"
  enable_organization_runners      = true
  github_app                       = var.github_app
  lambda_s3_bucket                 = "acme-lambdas"
  webhook_lambda_s3_key            = "github/webhook.zip"
  runners_lambda_s3_key            = "github/runners.zip"
  syncer_lambda_s3_key             = "github/runner-binaries-syncer.zip"
  webhook_lambda_s3_object_version = "abc"
  role_permissions_boundary        = "arn:aws:iam::123456789012:policy/boundary"
  encrypt_secrets                  = true
  manage_kms_key                   = false
}
