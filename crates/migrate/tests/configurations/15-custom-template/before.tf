module "runners" {
  source                            = "philips-labs/github-runner/aws"
  version                           = "1.11.0"
  aws_region                        = var.region
  vpc_id                            = var.vpc_id
  subnet_ids                        = var.subnet_ids
  environment                       = "own"
  enable_organization_runners       = true
  github_app                        = var.github_app
  userdata_template                 = "${path.module}/user-data.sh.tftpl"
  enabled_userdata                  = true
  runner_binaries_s3_logging_bucket = "logs"
  runner_binaries_s3_sse_configuration = {
    rule = { apply_server_side_encryption_by_default = { sse_algorithm = "AES256" } }
  }
  queue_encryption = { kms_data_key_reuse_period_seconds = null, kms_master_key_id = null, sqs_managed_sse_enabled = true }
}
