module "runners" {
  source  = "github-aws-runners/github-runner/aws//modules/multi-runner"
  version = "5.17.3"

  aws_region                      = var.region
  vpc_id                          = var.vpc_id
  subnet_ids                      = var.subnet_ids
  prefix                          = "kinds"
  github_app                      = var.github_app
  log_level                       = "debug"
  runners_scale_up_lambda_timeout = 60
  scale_up_lambda_memory_size     = 512
  multi_runner_config = {
    small = {
      matcherConfig = {
        labelMatchers = [["self-hosted", "linux", "x64", "small"], ["self-hosted", "linux", "x64", "tiny"]]
        exactMatch    = true
        priority      = 10
      }
      runner_config = {
        runner_os                            = "linux"
        runner_architecture                  = "x64"
        instance_types                       = ["m6i.large"]
        runners_maximum_count                = 30
        enable_organization_runners          = true
        enable_ephemeral_runners             = true
        instance_target_capacity_type        = "spot"
        enable_on_demand_failover_for_errors = ["InsufficientInstanceCapacity"]
        delay_webhook_event                  = 0
      }
    }
    graviton = {
      matcherConfig = {
        labelMatchers = [["self-hosted", "linux", "arm64"]]
        exactMatch    = true
      }
      runner_config = {
        runner_os                    = "linux"
        runner_architecture          = "arm64"
        instance_types               = ["m7g.large"]
        runners_maximum_count        = 10
        enable_organization_runners  = true
        runner_extra_labels          = ["graviton"]
        instance_allocation_strategy = "price-capacity-optimized"
        block_device_mappings        = [{ volume_size = 100 }]
      }
    }
  }
}
