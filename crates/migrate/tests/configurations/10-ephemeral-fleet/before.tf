module "runners" {
  source                        = "philips-labs/github-runner/aws"
  version                       = "0.32.0"
  aws_region                    = var.region
  vpc_id                        = var.vpc_id
  subnet_ids                    = var.subnet_ids
  environment                   = "ephemeral"
  enable_organization_runners   = true
  github_app                    = var.github_app
  enable_ephemeral_runners      = true
  fifo_build_queue              = true
  instance_types                = ["m5.large", "c5.large"]
  instance_target_capacity_type = "on-demand"
  instance_allocation_strategy  = "lowest-price"
  instance_max_spot_price       = null
  runner_architecture           = "x64"
  redrive_build_queue           = { enabled = true, maxReceiveCount = 50 }
  runners_maximum_count         = 100
}
