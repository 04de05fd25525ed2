# An image of one's own, as `images/` builds it: everything is installed already.

module "runners" {
  source = "../.."

  aws_region                  = var.aws_region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  github_app                  = var.github_app
  environment                 = "own_ami"
  enable_organization_runners = true
  ami_filter                  = { name = ["runnersmith-runner-*"] }
  ami_owners                  = ["self"]
  userdata_pre_install        = "echo from an image of our own"
  block_device_mappings       = { volume_size = "60" }
}
