# An environment as philips-labs/github-runner has it: a control plane and a scale set in one call. Who wants one control plane for many
# sets, each in a stack of its own, calls modules/control-plane once and modules/scale-set for each.

locals {
  functions = "${path.module}/functions/${var.lambda_architecture}"

  # Without names there is one set, with the environment's name. What an entry does not give, or is null, is the input's. No `try`: of an
  # entry that has a value which is not known before the apply it would make nothing but what is not known.
  scale_sets = length(var.scale_sets) > 0 ? var.scale_sets : { (var.environment) = {
    labels                               = []
    runner_disable_default_labels        = null
    priority                             = null
    enable_organization_runners          = null
    register_at                          = null
    allowed_repositories                 = null
    ephemeral                            = null
    runners_maximum_count                = null
    runner_group_name                    = null
    delay_webhook_event                  = null
    minimum_running_time_in_minutes      = null
    notify_authors                       = null
    rerun_interrupted                    = null
    instance_types                       = null
    runner_architecture                  = null
    market                               = null
    allocation_strategy                  = null
    spot_max_price                       = null
    ami_filter                           = null
    ami_owners                           = null
    ami_id_ssm_parameter_name            = null
    image_has_runner                     = null
    block_device_mappings                = null
    vpc_id                               = null
    subnet_ids                           = null
    runner_additional_security_group_ids = null
    associate_public_ipv4_address        = null
    metadata_hop_limit                   = null
    runner_boot_time_in_minutes          = null
    runner_as_root                       = null
    runner_run_as                        = null
    runner_ec2_tags                      = null
    runner_iam_role_managed_policy_arns  = null
    enable_ssm_on_runners                = null
    userdata_template                    = null
    userdata_pre_install                 = null
    userdata_post_install                = null
    userdata_after_runner                = null
    runner_hook_job_started              = null
    runner_hook_job_completed            = null
    enable_cloudwatch_agent              = null
    cloudwatch_config                    = null
    runner_log_files                     = null
    idle_config                          = null
  } }

  extra_labels = [for label in split(",", var.runner_extra_labels) : trimspace(label) if trimspace(label) != ""]
  disk_key_arns = distinct(concat(var.disk_kms_key_arns, compact(concat(
    [lookup(var.block_device_mappings, "kms_key_id", null)],
    [for set in local.scale_sets : set.block_device_mappings == null ? null : lookup(set.block_device_mappings, "kms_key_id", null)],
  ))))

  architectures = { for name, set in local.scale_sets : name => coalesce(set.runner_architecture, var.runner_architecture) }
  default_labels = { for name, set in local.scale_sets : name => coalesce(set.runner_disable_default_labels, var.runner_disable_default_labels) ? [] : [
    "self-hosted", "linux", local.architectures[name],
  ] }
  images = { for name, set in local.scale_sets : name => set.ami_id_ssm_parameter_name != null ? set.ami_id_ssm_parameter_name : var.ami_id_ssm_parameter_name }

  # An App's id is no secret.
  app_id = nonsensitive(var.github_app.id_ssm == null) ? nonsensitive(var.github_app.id) : nonsensitive(data.aws_ssm_parameter.app_id[0].value)
}

check "image" {
  assert {
    condition = !anytrue([
      for filter in concat([var.ami_filter], [for set in var.scale_sets : set.ami_filter if set.ami_filter != null]) :
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

data "aws_ssm_parameter" "app_id" {
  count = nonsensitive(var.github_app.id_ssm == null) ? 0 : 1
  name  = nonsensitive(coalesce(var.github_app.id_ssm.arn, var.github_app.id_ssm.name))
}

module "control_plane" {
  source = "./modules/control-plane"

  environment = var.environment
  github = {
    app_id       = local.app_id
    server_url   = var.ghes_url
    webhook      = var.github_webhook
    ca_parameter = var.ghes_ca == null ? null : "/runnersmith/${var.environment}/ghes-ca"
  }
  # A parameter that somebody else wrote goes before a value, as in philips-labs/github-runner.
  secrets = {
    private_key    = var.github_app.key_base64_ssm == null ? var.github_app.key_base64 : null
    webhook_secret = var.github_app.webhook_secret_ssm == null ? var.github_app.webhook_secret : null
  }
  secret_parameters = {
    private_key    = nonsensitive(var.github_app.key_base64_ssm)
    webhook_secret = nonsensitive(var.github_app.webhook_secret_ssm)
  }
  image_parameters = distinct([for image in values(local.images) : image if image != null])
  secrets_version  = var.secrets_version
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
  log  = { level = var.log_level, retention = var.logging_retention_in_days }
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
  labels = concat(local.default_labels[each.key], local.extra_labels, each.value.labels)
  scope = {
    level                = coalesce(each.value.enable_organization_runners, var.enable_organization_runners) ? "organization" : "repository"
    at                   = each.value.register_at != null ? each.value.register_at : var.register_at
    allowed_repositories = coalesce(each.value.allowed_repositories, var.allowed_repositories)
  }
  runner = {
    ephemeral               = coalesce(each.value.ephemeral, var.ephemeral)
    group                   = coalesce(each.value.runner_group_name, var.runner_group_name)
    as_root                 = coalesce(each.value.runner_as_root, var.runner_as_root)
    architecture            = local.architectures[each.key]
    maximum                 = coalesce(each.value.runners_maximum_count, var.runners_maximum_count)
    minimum_running_minutes = coalesce(each.value.minimum_running_time_in_minutes, var.minimum_running_time_in_minutes)
    delay_seconds           = each.value.delay_webhook_event != null ? each.value.delay_webhook_event : var.delay_webhook_event
    idle_config             = coalesce(each.value.idle_config, var.idle_config)
  }
  policy = {
    priority          = coalesce(each.value.priority, 0)
    rerun_interrupted = coalesce(each.value.rerun_interrupted, var.rerun_interrupted)
    tell              = coalesce(each.value.notify_authors, var.notify_authors)
  }
  machine = {
    instance_types      = each.value.instance_types != null ? each.value.instance_types : length(var.instance_types) > 0 ? var.instance_types : [var.instance_type]
    capacity            = coalesce(each.value.market, var.capacity.market)
    allocation_strategy = coalesce(each.value.allocation_strategy, var.capacity.allocation_strategy)
    spot_max_price      = each.value.spot_max_price != null ? each.value.spot_max_price : var.capacity.spot_max_price
    ami_filter          = coalesce(each.value.ami_filter, var.ami_filter)
    ami_owners          = coalesce(each.value.ami_owners, var.ami_owners)
    ami_parameter       = local.images[each.key]
    key_name            = var.key_name
    block_devices       = coalesce(each.value.block_device_mappings, var.block_device_mappings)
    session_manager     = coalesce(each.value.enable_ssm_on_runners, var.enable_ssm_on_runners)
    boot_minutes        = coalesce(each.value.runner_boot_time_in_minutes, var.runner_boot_time_in_minutes)
    metadata_hop_limit  = coalesce(each.value.metadata_hop_limit, var.metadata_hop_limit)
    public_address      = each.value.associate_public_ipv4_address != null ? each.value.associate_public_ipv4_address : var.associate_public_ipv4_address
    user                = coalesce(each.value.runner_run_as, var.runner_run_as)
    managed_policy_arns = coalesce(each.value.runner_iam_role_managed_policy_arns, var.runner_iam_role_managed_policy_arns)
    image_has_runner    = coalesce(each.value.image_has_runner, var.image_has_runner)
    tags                = coalesce(each.value.runner_ec2_tags, var.runner_ec2_tags)
  }
  user_data = {
    template      = each.value.userdata_template != null ? each.value.userdata_template : var.userdata_template
    pre_install   = each.value.userdata_pre_install != null ? each.value.userdata_pre_install : var.userdata_pre_install
    post_install  = each.value.userdata_post_install != null ? each.value.userdata_post_install : var.userdata_post_install
    after_runner  = each.value.userdata_after_runner != null ? each.value.userdata_after_runner : var.userdata_after_runner
    job_started   = each.value.runner_hook_job_started != null ? each.value.runner_hook_job_started : var.runner_hook_job_started
    job_completed = each.value.runner_hook_job_completed != null ? each.value.runner_hook_job_completed : var.runner_hook_job_completed
    ghes_ca       = var.ghes_ca == null ? "" : var.ghes_ca
  }
  network = {
    vpc_id             = coalesce(each.value.vpc_id, var.vpc_id)
    subnet_ids         = coalesce(each.value.subnet_ids, var.subnet_ids)
    security_group_ids = coalesce(each.value.runner_additional_security_group_ids, var.runner_additional_security_group_ids)
  }
  log = {
    agent     = coalesce(each.value.enable_cloudwatch_agent, var.enable_cloudwatch_agent)
    config    = each.value.cloudwatch_config != null ? each.value.cloudwatch_config : var.cloudwatch_config
    retention = var.logging_retention_in_days
    files     = each.value.runner_log_files != null ? each.value.runner_log_files : var.runner_log_files
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
