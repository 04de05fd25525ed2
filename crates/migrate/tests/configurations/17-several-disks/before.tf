module "runners" {
  source                      = "philips-labs/github-runner/aws"
  version                     = "4.7.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  prefix                      = "disks"
  enable_organization_runners = true
  github_app                  = var.github_app
  runner_credit_specification = "unlimited"
  block_device_mappings = [
    {
      device_name                = "/dev/xvda"
      volume_size                = 50
      volume_type                = "io2"
      iops                       = 4000
      snapshot_id                = "snap-0123456789abcdef0"
      volume_initialization_rate = 100
    },
    {
      device_name = "/dev/xvdb"
      volume_size = 200
    },
  ]
}
