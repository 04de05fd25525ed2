module "runner" {
  source = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"

  aws_region                       = var.region
  vpc_id                           = var.vpc_id
  subnet_ids                       = var.subnet_ids
  environment                      = "gh-2"
  enable_organization_runners      = true
  github_app                       = var.github_app
  lambda_s3_bucket                 = "acme-lambdas"
  webhook_lambda_s3_key            = "runnersmith/webhook.zip"
  webhook_lambda_s3_object_version = "a1"
  runners_lambda_s3_key            = "runnersmith/runners.zip"
  runners_lambda_s3_object_version = "a1"
  syncer_lambda_s3_key             = "runnersmith/runner-binaries-syncer.zip"
  syncer_lambda_s3_object_version  = "a1"
  role_permissions_boundary        = "arn:aws:iam::123456789012:policy/boundary"
  encrypt_secrets                  = true
  manage_kms_key                   = false
}
