module "runners" {
  source = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"

  aws_region  = var.region
  vpc_id      = var.vpc_id
  subnet_ids  = var.subnet_ids
  environment = "default-2"
  tags        = { Project = "ProjectX" }

  github_app = {
    key_base64     = var.key
    id             = var.id
    webhook_secret = var.webhook_secret
  }

  enable_organization_runners = false
  runner_extra_labels         = "default,example"

  enable_ssm_on_runners = true
}

output "webhook_endpoint" {
  value = module.runners.webhook_endpoint
}
