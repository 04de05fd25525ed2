# Written by Runnersmith; fixed text. The values are in terraform.tfvars.json.

provider "aws" {
  region = var.aws_region
}

module "runners" {
  source = "@MODULE_SOURCE@"

  ami_filter                        = var.ami_filter
  ami_owners                        = var.ami_owners
  aws_region                        = var.aws_region
  enable_organization_runners       = var.enable_organization_runners
  environment                       = var.environment
  ghes_ca                           = var.ghes_ca
  ghes_url                          = var.ghes_url
  github_app                        = var.github_app
  idle_config                       = var.idle_config
  instance_type                     = var.instance_type
  register_at                       = var.organization
  runner_binaries_syncer_lambda_zip = var.runner_binaries_syncer_lambda_zip
  runner_extra_labels               = var.runner_extra_labels
  runner_group_name                 = var.runner_group_name
  runners_lambda_zip                = var.runners_lambda_zip
  runners_maximum_count             = var.runners_maximum_count
  subnet_ids                        = var.subnet_ids
  vpc_id                            = var.vpc_id
  webhook_lambda_zip                = var.webhook_lambda_zip
}
