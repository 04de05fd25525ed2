module "runners" {
  source                      = "github-aws-runners/github-runner/aws"
  version                     = "5.21.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  prefix                      = "hooks"
  enable_organization_runners = true
  github_app                  = var.github_app
  runner_hook_job_started     = <<-EOT
    echo "Running pre job hook as $(whoami)"
  EOT
  runner_hook_job_completed   = "docker system prune -af"
  runner_ec2_tags             = { CostCenter = "42" }
}
