module "runners" {
  source                      = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "hooks-2"
  enable_organization_runners = true
  github_app                  = var.github_app
  runner_hook_job_started     = <<-EOT
    echo "Running pre job hook as $(whoami)"
  EOT
  runner_hook_job_completed   = "docker system prune -af"
  runner_ec2_tags             = { CostCenter = "42" }
}
