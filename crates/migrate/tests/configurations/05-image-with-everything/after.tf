module "prebuilt" {
  source = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"

  aws_region                       = var.region
  vpc_id                           = var.vpc_id
  subnet_ids                       = var.subnet_ids
  environment                      = "prebuilt-2"
  enable_organization_runners      = true
  github_app                       = var.github_app
  runner_architecture              = "x64"
  image_has_runner                 = true
  runner_run_as                    = "ubuntu"
  ami_filter                       = { name = ["github-runner-ubuntu-jammy-amd64-*"], state = ["available"] }
  ami_owners                       = ["123456789012"]
  block_device_mappings            = { device_name = "/dev/sda1", delete_on_termination = true, volume_type = "gp3", volume_size = 60, encrypted = true }
  lambda_s3_bucket                 = "acme-lambdas"
  webhook_lambda_s3_key            = "runnersmith/webhook.zip"
  webhook_lambda_s3_object_version = "a1"
  runners_lambda_s3_key            = "runnersmith/runners.zip"
  runners_lambda_s3_object_version = "a1"
  syncer_lambda_s3_key             = "runnersmith/runner-binaries-syncer.zip"
  syncer_lambda_s3_object_version  = "a1"
}
