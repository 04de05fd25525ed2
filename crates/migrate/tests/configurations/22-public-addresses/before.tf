resource "aws_vpc" "this" {
  cidr_block = "10.0.0.0/16"
}

resource "aws_subnet" "public" {
  vpc_id     = aws_vpc.this.id
  cidr_block = "10.0.1.0/24"
}

module "runners" {
  source                               = "philips-labs/github-runner/aws"
  version                              = "5.2.0"
  aws_region                           = var.region
  vpc_id                               = aws_vpc.this.id
  subnet_ids                           = [aws_subnet.public.id]
  prefix                               = "public"
  enable_organization_runners          = true
  github_app                           = var.github_app
  associate_public_ipv4_address        = true
  enable_managed_runner_security_group = true
}
