# The least: one scale set with a control plane of its own, in a VPC that is there.

module "runners" {
  source = "../.."

  aws_region                  = var.aws_region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  github_app                  = var.github_app
  environment                 = "minimal"
  enable_organization_runners = true
}
