# What decides: the webhook, the queue, the ledger and the functions between them. It has no scale set of its own:
# each registers itself below the path, by the scale-set module.

data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  # Names have a limit of 64 characters, the longest ending is 16.
  name      = length(var.environment) <= 46 ? var.environment : "${substr(var.environment, 0, 37)}-${substr(sha256(var.environment), 0, 8)}"
  path      = "/runnersmith/${var.environment}"
  account   = data.aws_caller_identity.this.account_id
  partition = data.aws_partition.this.partition
  # `name` in version 5 of the provider, `region` in 6; `id` is in both.
  region = data.aws_region.this.id
  tags   = merge(var.tags, { "runnersmith:environment" = var.environment })

  parameters  = "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter${local.path}"
  secret_type = var.encryption.enabled ? "SecureString" : "String"
  # Known when planning as long as manage_key is false or no key is given, also when the key is made in the same apply.
  makes_key = var.encryption.enabled && var.encryption.manage_key ? var.encryption.kms_key_id == null : false
  # One key in three cases; without any, Parameter Store's own.
  key_id  = !var.encryption.enabled ? null : local.makes_key ? aws_kms_key.this[0].arn : var.encryption.kms_key_id
  has_key = var.encryption.enabled && (var.encryption.manage_key || var.encryption.kms_key_id != null)
  key_arn = !local.has_key ? null : startswith(coalesce(local.key_id, "-"), "arn:") ? local.key_id : "arn:${local.partition}:kms:${local.region}:${local.account}:key/${coalesce(local.key_id, "-")}"
}

resource "aws_kms_key" "this" {
  #checkov:skip=CKV2_AWS_64:the account's own policies say who uses it, as its default policy lets them
  count                   = local.makes_key ? 1 : 0
  description             = "Runnersmith ${var.environment}: secrets and hand-offs"
  enable_key_rotation     = true
  deletion_window_in_days = 7
  tags                    = local.tags
}

resource "aws_kms_alias" "this" {
  count         = local.makes_key ? 1 : 0
  name          = "alias/runnersmith/${var.environment}"
  target_key_id = aws_kms_key.this[0].key_id
}

resource "aws_ssm_parameter" "private_key" {
  #checkov:skip=CKV2_AWS_34:a SecureString unless encrypt_secrets is false, which is an input of philips-labs/github-runner
  count            = var.secret_parameters.private_key == null ? 1 : 0
  name             = "${local.path}/secrets/private-key"
  description      = "The GitHub App's private key"
  type             = local.secret_type
  key_id           = local.secret_type == "SecureString" ? local.key_id : null
  value_wo         = var.secrets.private_key
  value_wo_version = var.secrets_version
  tags             = local.tags
}

resource "aws_ssm_parameter" "webhook_secret" {
  #checkov:skip=CKV2_AWS_34:a SecureString unless encrypt_secrets is false, which is an input of philips-labs/github-runner
  count            = var.secret_parameters.webhook_secret == null ? 1 : 0
  name             = "${local.path}/secrets/webhook-secret"
  description      = "The secret that signs GitHub's deliveries"
  type             = local.secret_type
  key_id           = local.secret_type == "SecureString" ? local.key_id : null
  value_wo         = var.secrets.webhook_secret
  value_wo_version = var.secrets_version
  tags             = local.tags
}

locals {
  # Where the secrets are: what is written here, or what somebody else wrote. Parameter Store takes another account's parameter by its
  # full ARN only (API reference, GetParameters), so that an ARN that is given is used as it is.
  secrets = {
    private_key    = var.secret_parameters.private_key == null ? aws_ssm_parameter.private_key[0].name : coalesce(var.secret_parameters.private_key.arn, var.secret_parameters.private_key.name)
    webhook_secret = var.secret_parameters.webhook_secret == null ? aws_ssm_parameter.webhook_secret[0].name : coalesce(var.secret_parameters.webhook_secret.arn, var.secret_parameters.webhook_secret.name)
  }
  secret_arns = { for kind, secret in local.secrets : kind => startswith(secret, "arn:") ? secret : "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter/${trimprefix(secret, "/")}" }
}

# The functions read this, and the sets' parameters beside it, when they start and every few minutes.
resource "aws_ssm_parameter" "plane" {
  #checkov:skip=CKV2_AWS_34:no secret: settings
  name        = "${local.path}/config/plane"
  description = "The control plane's settings"
  type        = "String"
  tags        = local.tags

  # Not secret: a plan should show what changes in it.
  insecure_value = jsonencode({
    github = {
      server_url               = var.github.server_url
      app_id                   = var.github.app_id
      webhook                  = var.github.webhook
      ca_parameter             = var.github.ca_parameter
      private_key_parameter    = local.secrets["private_key"]
      webhook_secret_parameter = local.secrets["webhook_secret"]
    }
    limits = var.limits
    aws = {
      queue_url             = aws_sqs_queue.work["jobs"].url
      lookup_queue_url      = aws_sqs_queue.work["lookups"].url
      dead_letter_queue_url = aws_sqs_queue.dead.url
      table                 = aws_dynamodb_table.ledger.name
      hand_off_path         = "${local.path}/hand-off"
      encrypt_hand_off      = var.encryption.enabled
      kms_key_id            = local.key_id
    }
  })
}

locals {
  # What a scale set needs to join.
  plane = {
    environment         = var.environment
    name                = local.name
    path                = local.path
    has_key             = local.has_key
    key_arn             = local.key_arn
    distribution_bucket = aws_s3_bucket.distribution.id
    distribution_prefix = "actions-runner/"
    role_path           = var.role.path
  }
}

resource "aws_ssm_parameter" "join" {
  #checkov:skip=CKV2_AWS_34:no secret: names that stacks which join read
  name           = "${local.path}/plane"
  description    = "What a scale set in a stack of its own needs to join"
  type           = "String"
  insecure_value = jsonencode(local.plane)
  tags           = local.tags
}
