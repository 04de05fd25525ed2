module "runners" {
  source = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"

  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "newest-2"
  tags                        = var.tags
  enable_organization_runners = true
  github_app = {
    key_base64     = var.key
    id             = var.id
    webhook_secret = var.webhook_secret
  }
  runner_group_name               = "ci"
  runner_extra_labels             = "ci"
  instance_types                  = ["m7i.large", "m7a.large"]
  capacity                        = { market = "on-demand", allocation_strategy = "prioritized" }
  runners_maximum_count           = 1000
  create_service_linked_role_spot = true
}
