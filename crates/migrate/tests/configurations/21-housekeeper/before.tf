module "runners" {
  source                      = "philips-labs/github-runner/aws"
  version                     = "5.1.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  prefix                      = "house"
  enable_organization_runners = true
  github_app                  = var.github_app
  enable_ami_housekeeper      = true
  ami_housekeeper_cleanup_config = {
    ssmParameterNames = ["*/ami-id"]
    minimumDaysOld    = 10
  }
  runners_ssm_housekeeper = { schedule_expression = "rate(1 day)" }
}
