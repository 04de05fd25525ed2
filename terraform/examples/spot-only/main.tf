# Spot over several types and zones, never on demand, with a highest price.

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
  environment                 = "spot_only"
  enable_organization_runners = true
  instance_types              = ["m7i.large", "m6i.large", "m5.large", "m5a.large"]
  capacity = {
    market         = "spot"
    spot_max_price = "0.08"
  }
}
