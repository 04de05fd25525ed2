module "runners" {
  source                        = "github-aws-runners/github-runner/aws"
  version                       = "7.8.0"
  aws_region                    = var.region
  vpc_id                        = var.vpc_id
  subnet_ids                    = var.subnet_ids
  prefix                        = "dynamic"
  enable_organization_runners   = true
  github_app                    = var.github_app
  enable_dynamic_labels         = true
  ec2_dynamic_labels_policy     = null
  use_dedicated_host            = false
  runner_license_specifications = []
  runner_placement              = null
  iam_overrides = {
    override_instance_profile = false
    instance_profile_name     = null
    override_runner_role      = false
    runner_role_arn           = null
  }
}
