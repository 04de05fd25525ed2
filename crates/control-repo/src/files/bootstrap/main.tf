# Written by `runnersmith init`. The bucket of Terraform's states, their lock, and the two roles that this repository's workflow
# takes. Applied once, by somebody who may; see README.md.

provider "aws" {
  region = @REGION@
}

module "state" {
  source     = @STATE_SOURCE@
  bucket     = @BUCKET@
  lock_table = @LOCK_TABLE@
}

module "roles" {
  source         = @OIDC_SOURCE@
  repository     = @REPOSITORY@
  repository_id  = @REPOSITORY_ID@
  owner_id       = @OWNER_ID@
  default_branch = @BRANCH@
  issuer         = @ISSUER@
  workflow       = @WORKFLOW@

  state_bucket_arn = module.state.bucket_arn
  lock_table_arn   = module.state.lock_table_arn
  state_key_arn    = var.state_key_arn
  key_prefix       = @KEY_PREFIX@
  own_stacks       = @OWN_STACKS@
  plane_paths      = [@PLANE_PATH@]

  create_provider           = var.create_provider
  apply_policy_arns         = var.apply_policy_arns
  plan_policy_arns          = var.plan_policy_arns
  role_permissions_boundary = var.role_permissions_boundary
}
