locals {
  runners = {
    default = {
      matcherConfig = {
        labelMatchers           = [["default"]]
        bidirectionalLabelMatch = false
      }
      runner_config = {
        runner_os                     = "linux"
        runner_architecture           = "x64"
        runner_disable_default_labels = true
        instance_types                = ["c7i.xlarge"]
        runners_maximum_count         = 12
        enable_organization_runners   = true
        enable_ephemeral_runners      = true
        pool_runner_owner             = "acme"
        pool_config                   = [{ size = 2, schedule_expression = "cron(* * * * ? *)" }]
        userdata_post_install         = "docker login registry.example.com"
        ami = {
          id_ssm_parameter_arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/images/default"
        }
        cpu_options = null
      }
    }
  }
}

module "runners" {
  source              = "github-aws-runners/github-runner/aws//modules/multi-runner"
  version             = "7.9.0"
  aws_region          = var.region
  vpc_id              = var.vpc_id
  subnet_ids          = var.subnet_ids
  prefix              = "local"
  github_app          = var.github_app
  multi_runner_config = local.runners
}

output "roles" {
  value = module.runners.runners_map
}
