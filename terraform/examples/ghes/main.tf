# A GitHub Enterprise Server whose certificate an authority of the company signed.

module "runners" {
  source = "../.."

  aws_region                  = var.aws_region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  github_app                  = var.github_app
  environment                 = "ghes"
  enable_organization_runners = true
  ghes_url                    = "https://github.example.com"
  ghes_ca                     = var.ghes_ca
  # The functions reach the server from inside of the VPC.
  lambda_subnet_ids         = var.subnet_ids
  lambda_security_group_ids = var.lambda_security_group_ids
}
