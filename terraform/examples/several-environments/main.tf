# Two environments in one account, each with a control plane and a webhook of its own; neither can touch the other's. An App has one webhook:
# each environment is fed by one of the organisation, which is made for its endpoint and named here.

module "network" {
  source = "../../modules/network"

  name = "several"
}

module "runners" {
  source   = "../.."
  for_each = toset(["blue", "green"])

  aws_region                  = var.aws_region
  environment                 = each.key
  vpc_id                      = module.network.vpc_id
  subnet_ids                  = module.network.private_subnet_ids
  github_app                  = var.github_app
  github_webhook              = var.github_webhooks[each.key]
  enable_organization_runners = true
  runner_extra_labels         = each.key
}
