module "runners" {
  source  = "github-aws-runners/github-runner/aws"
  version = "7.11.0"

  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  prefix                      = "newest"
  tags                        = var.tags
  enable_organization_runners = true
  github_app = {
    key_base64     = var.key
    id             = var.id
    webhook_secret = var.webhook_secret
  }
  additional_github_apps = [{
    key_base64 = var.key
    id         = "2"
  }]
  enable_ephemeral_runners                = true
  enable_runner_bidirectional_label_match = true
  queue_selection_strategy                = "priority"
  runner_group_name                       = "ci"
  runner_extra_labels                     = ["ci"]
  instance_types                          = ["m7i.large", "m7a.large"]
  instance_type_priorities                = { "m7i.large" = 1, "m7a.large" = 2 }
  instance_allocation_strategy            = "prioritized"
  instance_target_capacity_type           = "on-demand"
  runners_maximum_count                   = -1
  runners_ebs_optimized                   = true
  pool_include_busy_runners               = true
  create_service_linked_role_spot         = true
  state_event_rule_binaries_syncer        = "ENABLED"
}
