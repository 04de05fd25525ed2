# Several scale sets on one control plane in one call, by a typed map.

module "network" {
  source = "../../modules/network"

  name = "runners"
}

module "runners" {
  source = "../.."

  aws_region                  = var.aws_region
  vpc_id                      = module.network.vpc_id
  subnet_ids                  = module.network.private_subnet_ids
  github_app                  = var.github_app
  environment                 = "several_sets"
  enable_organization_runners = true
  register_at                 = "acme"
  scale_sets = {
    small = { runners_maximum_count = 20 }
    large = { labels = ["large"], instance_types = ["m7i.4xlarge"], runners_maximum_count = 4, market = "spot-then-on-demand" }
    arm   = { runner_architecture = "arm64", instance_types = ["m7g.large"] }
  }
}
