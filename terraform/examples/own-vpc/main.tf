# Functions and machines in a VPC of one's own, with security groups of one's own.

module "runners" {
  source = "../.."

  aws_region                           = var.aws_region
  vpc_id                               = var.vpc_id
  subnet_ids                           = var.subnet_ids
  github_app                           = var.github_app
  environment                          = "own_vpc"
  enable_organization_runners          = true
  lambda_subnet_ids                    = var.subnet_ids
  lambda_security_group_ids            = var.security_group_ids
  runner_additional_security_group_ids = var.security_group_ids
}
