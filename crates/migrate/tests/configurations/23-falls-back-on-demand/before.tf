module "runners" {
  source                                      = "philips-labs/github-runner/aws"
  version                                     = "5.5.0"
  aws_region                                  = var.region
  vpc_id                                      = var.vpc_id
  subnet_ids                                  = var.subnet_ids
  prefix                                      = "fallback"
  enable_organization_runners                 = true
  github_app                                  = var.github_app
  enable_runner_on_demand_failover_for_errors = ["InsufficientInstanceCapacity"]
  instance_allocation_strategy                = "capacity-optimized-prioritized"
  instance_max_spot_price                     = "0.25"
  instance_types                              = ["c6i.xlarge", "c5.xlarge"]
}
