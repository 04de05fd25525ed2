module "runners" {
  source     = "git::https://github.com/philips-labs/terraform-aws-github-runner.git//modules/multi-runner?ref=v4.2.0"
  aws_region = var.region
  vpc_id     = var.vpc_id
  subnet_ids = var.subnet_ids
  prefix     = "mixed"
  github_app = var.github_app
  multi_runner_config = {
    windows = {
      matcherConfig = { labelMatchers = [["self-hosted", "windows", "x64"]], exactMatch = true }
      runner_config = {
        runner_os                   = "windows"
        runner_architecture         = "x64"
        instance_types              = ["m5.large"]
        runners_maximum_count       = 5
        runner_boot_time_in_minutes = 20
      }
    }
    ubuntu = {
      matcherConfig = { labelMatchers = [["self-hosted", "linux", "x64", "ubuntu"]], exactMatch = true, priority = 0 }
      runner_config = {
        runner_os                     = "linux"
        runner_architecture           = "x64"
        runner_run_as                 = "ubuntu"
        enable_userdata               = false
        enable_runner_binaries_syncer = false
        ami_filter                    = { name = ["ubuntu-runner-*"] }
        ami_owners                    = ["self"]
        instance_types                = ["m5.large"]
        runners_maximum_count         = 5
        enable_ephemeral_runners      = true
        runner_metadata_options       = { http_tokens = "required", http_put_response_hop_limit = 2 }
        runner_hook_job_started       = "echo started"
        vpc_id                        = "vpc-2"
        subnet_ids                    = ["subnet-2"]
        credit_specification          = null
        ebs_optimized                 = true
      }
    }
  }
}
