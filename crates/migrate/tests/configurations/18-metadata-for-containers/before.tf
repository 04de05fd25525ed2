module "runners" {
  source                      = "philips-labs/github-runner/aws"
  version                     = "4.1.2"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  prefix                      = "imds"
  enable_organization_runners = true
  github_app                  = var.github_app
  enable_ephemeral_runners    = true
  enable_jit_config           = true
  runner_metadata_options = {
    instance_metadata_tags      = "enabled"
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 2
  }
  lambda_principals = [{ type = "AWS", identifiers = ["arn:aws:iam::123456789012:root"] }]
}
