# Never spot: for long jobs that cannot be run again.

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
  environment                 = "on_demand"
  enable_organization_runners = false
  instance_types              = ["m7g.large", "m6g.large"]
  runner_architecture         = "arm64"
  capacity                    = { market = "on-demand", allocation_strategy = "lowest-price" }
}
