module "prebuilt" {
  source  = "philips-labs/github-runner/aws"
  version = "3.4.1"

  aws_region                    = var.region
  vpc_id                        = var.vpc_id
  subnet_ids                    = var.subnet_ids
  prefix                        = "prebuilt"
  enable_organization_runners   = true
  github_app                    = var.github_app
  runner_os                     = "linux"
  runner_architecture           = "x64"
  enable_userdata               = false
  enable_runner_binaries_syncer = false
  runner_run_as                 = "ubuntu"
  ami_filter                    = { name = ["github-runner-ubuntu-jammy-amd64-*"], state = ["available"] }
  ami_owners                    = ["123456789012"]
  block_device_mappings = [{
    device_name           = "/dev/sda1"
    delete_on_termination = true
    volume_type           = "gp3"
    volume_size           = 60
    encrypted             = true
    iops                  = null
    throughput            = null
    kms_key_id            = null
    snapshot_id           = null
  }]
  lambda_s3_bucket      = "acme-lambdas"
  webhook_lambda_s3_key = "webhook.zip"
  runners_lambda_s3_key = "runners.zip"
}
