module "runners" {
  source                      = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "disks-2"
  enable_organization_runners = true
  github_app                  = var.github_app
  block_device_mappings       = { device_name = "/dev/xvda", volume_size = 50, volume_type = "io2", iops = 4000, snapshot_id = "snap-0123456789abcdef0" }
}
