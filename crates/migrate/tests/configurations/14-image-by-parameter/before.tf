resource "aws_ssm_parameter" "image" {
  name  = "/github-runner/image"
  type  = "String"
  value = "ami-0123456789abcdef0"
}

module "runners" {
  source                      = "philips-labs/github-runner/aws"
  version                     = "2.4.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  prefix                      = "image"
  enable_organization_runners = true
  github_app                  = var.github_app
  ami_id_ssm_parameter_name   = aws_ssm_parameter.image.name
  ami_kms_key_arn             = "arn:aws:kms:eu-west-1:123456789012:key/abc"
  enable_fifo_build_queue     = true
}
