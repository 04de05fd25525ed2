# An environment as philips-labs/github-runner has it: a control plane and a scale set in one call. Who wants one control plane for many
# sets, each in a stack of its own, calls modules/control-plane once and modules/scale-set for each.

locals {
  functions = "${path.module}/functions/${var.lambda_architecture}"

  # Without names there is one set, with the environment's name.
  scale_sets = length(var.scale_sets) > 0 ? var.scale_sets : { (var.environment) = {
    labels                = []
    runners_maximum_count = null
    instance_types        = null
    runner_architecture   = null
    runner_group_name     = null
    ephemeral             = null
    market                = null
    ami_filter            = null
    ami_owners            = null
    subnet_ids            = null
    allowed_repositories  = null
    idle_config           = null
  } }

  extra_labels  = [for label in split(",", var.runner_extra_labels) : trimspace(label) if trimspace(label) != ""]
  disk_key_arns = distinct(concat(var.disk_kms_key_arns, compact([lookup(var.block_device_mappings, "kms_key_id", "")])))

  architectures = { for name, set in local.scale_sets : name => coalesce(set.runner_architecture, var.runner_architecture) }
}

check "image" {
  assert {
    condition = !anytrue([
      for filter in concat([var.ami_filter], [for set in local.scale_sets : set.ami_filter if set.ami_filter != null]) :
      anytrue([for name in lookup(filter, "name", []) : startswith(name, "amzn2-")])
    ])
    error_message = "ami_filter selects Amazon Linux 2, whose glibc 2.26 cannot run today's actions and which is out of support: use Amazon Linux 2023."
  }
}

check "versions" {
  assert {
    condition = alltrue([for one in [
      [var.webhook_lambda_s3_key, var.webhook_lambda_s3_object_version],
      [var.runners_lambda_s3_key, var.runners_lambda_s3_object_version],
      [var.syncer_lambda_s3_key, var.syncer_lambda_s3_object_version],
    ] : var.lambda_s3_bucket == null || one[0] == null || one[1] != null])
    error_message = "A zip in lambda_s3_bucket is named without its version (…_lambda_s3_object_version): Terraform does not see new bytes below the same key, and they are never deployed. Give the version, or the release in the key."
  }
}

check "region" {
  assert {
    condition     = data.aws_region.this.id == var.aws_region
    error_message = "aws_region is ${var.aws_region}, the provider's region is ${data.aws_region.this.id}."
  }
}

data "aws_region" "this" {}

module "control_plane" {
  source = "./modules/control-plane"

  environment = var.environment
  github = {
    app_id       = nonsensitive(var.github_app.id)
    server_url   = var.ghes_url
    webhook      = var.github_webhook
    ca_parameter = var.ghes_ca == null ? null : "/runnersmith/${var.environment}/ghes-ca"
  }
  secrets = {
    private_key    = var.github_app.key_base64
    webhook_secret = var.github_app.webhook_secret
  }
  secrets_version = var.secrets_version
  encryption = {
    enabled    = var.encrypt_secrets
    kms_key_id = var.kms_key_id
    manage_key = var.manage_kms_key
  }
  code = {
    bucket = var.lambda_s3_bucket
    webhook = {
      file           = coalesce(var.webhook_lambda_zip, "${local.functions}/webhook.zip")
      key            = var.webhook_lambda_s3_key
      object_version = var.webhook_lambda_s3_object_version
    }
    runners = {
      file           = coalesce(var.runners_lambda_zip, "${local.functions}/runners.zip")
      key            = var.runners_lambda_s3_key
      object_version = var.runners_lambda_s3_object_version
    }
    syncer = {
      file           = coalesce(var.runner_binaries_syncer_lambda_zip, "${local.functions}/runner-binaries-syncer.zip")
      key            = var.syncer_lambda_s3_key
      object_version = var.syncer_lambda_s3_object_version
    }
  }
  architecture = var.lambda_architecture
  timeouts = {
    webhook    = var.webhook_lambda_timeout
    scale_up   = var.runners_scale_up_lambda_timeout
    scale_down = var.runners_scale_down_lambda_timeout
    syncer     = var.runner_binaries_syncer_lambda_timeout
  }
  schedules = { scale_down = var.scale_down_schedule_expression }
  distribution = {
    architectures = sort(distinct(values(local.architectures)))
    prerelease    = var.runner_allow_prerelease_binaries
  }
  network = {
    subnet_ids         = var.lambda_subnet_ids
    security_group_ids = var.lambda_security_group_ids
  }
  log  = { retention = var.logging_retention_in_days }
  role = { path = var.role_path, permissions_boundary = var.role_permissions_boundary }
  tags = var.tags

  readers          = var.readers
  alarm_topic_arns = var.alarm_topic_arns
  custom_metrics   = var.custom_metrics
  disk_key_arns    = local.disk_key_arns
}

module "scale_set" {
  source   = "./modules/scale-set"
  for_each = local.scale_sets

  plane  = module.control_plane.plane
  name   = each.key
  labels = concat(["self-hosted", "linux", local.architectures[each.key]], local.extra_labels, each.value.labels)
  scope = {
    level                = var.enable_organization_runners ? "organization" : "repository"
    at                   = var.register_at
    allowed_repositories = coalesce(each.value.allowed_repositories, var.allowed_repositories)
  }
  runner = {
    ephemeral               = coalesce(each.value.ephemeral, var.ephemeral)
    group                   = coalesce(each.value.runner_group_name, var.runner_group_name)
    as_root                 = var.runner_as_root
    architecture            = local.architectures[each.key]
    maximum                 = coalesce(each.value.runners_maximum_count, var.runners_maximum_count)
    minimum_running_minutes = var.minimum_running_time_in_minutes
    delay_seconds           = var.delay_webhook_event
    idle_config             = each.value.idle_config == null ? var.idle_config : each.value.idle_config
  }
  machine = {
    instance_types      = each.value.instance_types != null ? each.value.instance_types : length(var.instance_types) > 0 ? var.instance_types : [var.instance_type]
    capacity            = coalesce(each.value.market, var.capacity.market)
    allocation_strategy = var.capacity.allocation_strategy
    spot_max_price      = var.capacity.spot_max_price
    ami_filter          = each.value.ami_filter == null ? var.ami_filter : each.value.ami_filter
    ami_owners          = each.value.ami_owners == null ? var.ami_owners : each.value.ami_owners
    key_name            = var.key_name
    block_devices       = var.block_device_mappings
    session_manager     = var.enable_ssm_on_runners
    managed_policy_arns = var.runner_iam_role_managed_policy_arns
  }
  user_data = {
    template     = var.userdata_template
    pre_install  = var.userdata_pre_install
    post_install = var.userdata_post_install
    ghes_ca      = var.ghes_ca == null ? "" : var.ghes_ca
  }
  network = {
    vpc_id             = var.vpc_id
    subnet_ids         = each.value.subnet_ids == null ? var.subnet_ids : each.value.subnet_ids
    security_group_ids = var.runner_additional_security_group_ids
  }
  log = {
    agent     = var.enable_cloudwatch_agent
    config    = var.cloudwatch_config
    retention = var.logging_retention_in_days
    files     = var.runner_log_files
  }
  role = {
    path                 = var.role_path
    profile_path         = var.instance_profile_path
    permissions_boundary = var.role_permissions_boundary
  }
  tags = var.tags
}

resource "aws_ssm_parameter" "ghes_ca" {
  #checkov:skip=CKV2_AWS_34:a certificate is public
  count       = var.ghes_ca == null ? 0 : 1
  name        = "/runnersmith/${var.environment}/ghes-ca"
  description = "The authority that signed the server's certificate"
  type        = "String"
  # A chain of authorities has more than the 4 KB of a standard parameter.
  tier           = "Intelligent-Tiering"
  insecure_value = var.ghes_ca
  tags           = merge(var.tags, { "runnersmith:environment" = var.environment })
}

resource "aws_iam_service_linked_role" "spot" {
  count            = var.create_service_linked_role_spot ? 1 : 0
  aws_service_name = "spot.amazonaws.com"
}
