module "runners" {
  source                      = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "imds-2"
  enable_organization_runners = true
  github_app                  = var.github_app
  metadata_hop_limit          = 2
}
