module "runners" {
  source                      = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "mixed-2"
  enable_organization_runners = false
  github_app                  = var.github_app
  # The kind on Windows stays with the old module.
  scale_sets = {
    ubuntu = {
      labels                  = ["ubuntu"]
      priority                = 999
      runner_architecture     = "x64"
      runner_run_as           = "ubuntu"
      image_has_runner        = true
      ami_filter              = { name = ["ubuntu-runner-*"] }
      ami_owners              = ["self"]
      instance_types          = ["m5.large"]
      runners_maximum_count   = 5
      metadata_hop_limit      = 2
      runner_hook_job_started = "echo started"
      vpc_id                  = "vpc-2"
      subnet_ids              = ["subnet-2"]
    }
  }
}
