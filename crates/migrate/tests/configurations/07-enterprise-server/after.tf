module "ghes" {
  source = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"

  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "ghes-2"
  enable_organization_runners = true
  github_app                  = var.github_app
  ghes_url                    = "https://github.acme.internal"
  ghes_ca                     = var.authority
  lambda_subnet_ids           = var.subnet_ids
  lambda_security_group_ids   = ["sg-0123456789abcdef0"]
  runner_boot_time_in_minutes = 10
  runner_group_name           = "Internal"
}
