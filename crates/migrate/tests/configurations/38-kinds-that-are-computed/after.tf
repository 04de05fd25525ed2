module "runners" {
  source                      = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "computed-2"
  enable_organization_runners = true
  github_app                  = var.github_app
  scale_sets = {
    for name in ["small", "large"] : name => {
      labels                = [name]
      instance_types        = [name == "small" ? "m7i.large" : "m7i.4xlarge"]
      runners_maximum_count = 10
    }
  }
}
