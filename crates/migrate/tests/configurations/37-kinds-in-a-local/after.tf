module "runners" {
  source                      = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "local-2"
  enable_organization_runners = true
  github_app                  = var.github_app
  scale_sets = {
    default = {
      labels                        = ["default"]
      runner_architecture           = "x64"
      runner_disable_default_labels = true
      instance_types                = ["c7i.xlarge"]
      runners_maximum_count         = 12
      enable_organization_runners   = true
      register_at                   = "acme"
      idle_config                   = [{ cron = "* * * * * *", timeZone = "UTC", idleCount = 2 }]
      userdata_post_install         = "docker login registry.example.com"
      ami_id_ssm_parameter_name     = "arn:aws:ssm:eu-west-1:123456789012:parameter/images/default"
    }
  }
}

output "roles" {
  value = module.runners.machine_role_arns
}
