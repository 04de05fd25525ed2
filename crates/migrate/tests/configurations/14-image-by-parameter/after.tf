resource "aws_ssm_parameter" "image" {
  name  = "/github-runner/image"
  type  = "String"
  value = "ami-0123456789abcdef0"
}

module "runners" {
  source                      = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "image-2"
  enable_organization_runners = true
  github_app                  = var.github_app
  ami_id_ssm_parameter_name   = aws_ssm_parameter.image.name
  disk_kms_key_arns           = ["arn:aws:kms:eu-west-1:123456789012:key/abc"]
}
