module "ghes" {
  source  = "philips-labs/github-runner/aws"
  version = "0.21.0"

  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "ghes"
  enable_organization_runners = true
  github_app                  = var.github_app
  ghes_url                    = "https://github.acme.internal"
  ghes_ssl_verify             = false
  lambda_subnet_ids           = var.subnet_ids
  lambda_security_group_ids   = ["sg-0123456789abcdef0"]
  runner_boot_time_in_minutes = 10
  runner_group_name           = "Internal"
}
