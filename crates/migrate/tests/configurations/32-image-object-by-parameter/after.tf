module "runners" {
  source                      = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "byarn-2"
  enable_organization_runners = true
  github_app                  = var.github_app
  ami_id_ssm_parameter_name   = "arn:aws:ssm:eu-west-1:123456789012:parameter/images/runner"
  tags                        = { Data = "public" }
  disk_kms_key_arns           = ["arn:aws:kms:eu-west-1:123456789012:key/abc"]
}
