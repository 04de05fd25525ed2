module "multi-runner" {
  source     = "./terraform-aws-github-runner/modules/multi-runner"
  aws_region = var.region
  vpc_id     = var.vpc_id
  subnet_ids = var.subnet_ids
  prefix     = "multi"
  github_app = var.github_app
  multi_runner_config = {
    "linux-x64" = {
      matcherConfig = {
        labelMatchers = [["self-hosted", "linux", "x64", "amazon"]]
        exactMatch    = false
      }
      fifo                = true
      redrive_build_queue = { enabled = false, maxReceiveCount = null }
      runner_config = {
        runner_os                      = "linux"
        runner_architecture            = "x64"
        runner_name_prefix             = "amazon-x64_"
        enable_ssm_on_runners          = true
        instance_types                 = ["m5ad.large", "m5a.large"]
        runner_extra_labels            = "amazon"
        runners_maximum_count          = 1
        enable_ephemeral_runners       = true
        enable_organization_runners    = true
        scale_down_schedule_expression = "cron(* * * * ? *)"
      }
    }
  }
  webhook_lambda_zip                = "webhook.zip"
  runner_binaries_syncer_lambda_zip = "runner-binaries-syncer.zip"
  runners_lambda_zip                = "runners.zip"
}
