module "runners" {
  source                              = "github-aws-runners/github-runner/aws"
  version                             = "~> 5.12"
  aws_region                          = var.region
  vpc_id                              = var.vpc_id
  subnet_ids                          = var.subnet_ids
  prefix                              = "labels"
  enable_organization_runners         = true
  github_app                          = var.github_app
  runner_extra_labels                 = ["default", "gpu"]
  runner_disable_default_labels       = true
  lambda_tags                         = { Owner = "platform" }
  matcher_config_parameter_store_tier = "Advanced"
}
