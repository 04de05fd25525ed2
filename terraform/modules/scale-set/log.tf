locals {
  agent_path = "${var.plane.path}/agent/${var.name}"
  # One group with a stream for each kind and machine; others as they are named.
  own_group = var.name == var.plane.environment ? "${var.name}/runners" : "${var.plane.environment}/${var.name}/runners"
  files = [for file in var.log.files : {
    log_group_name  = file.prefix_log_group ? local.own_group : file.log_group_name
    log_stream_name = file.prefix_log_group ? "${file.log_group_name}/${file.log_stream_name}" : file.log_stream_name
    file_path       = file.file_path
  }]
  groups = var.log.agent ? toset(concat([local.own_group], [for file in var.log.files : file.log_group_name if !file.prefix_log_group])) : toset([])
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts by its own key; another one would have to let the log service in by its policy
  #checkov:skip=CKV_AWS_338:how long is an input; 180 days as in philips-labs/github-runner
  for_each          = local.groups
  name              = each.value
  retention_in_days = var.log.retention
  tags              = local.tags
}

resource "aws_ssm_parameter" "agent" {
  #checkov:skip=CKV2_AWS_34:no secret: the agent's settings
  count       = var.log.agent ? 1 : 0
  name        = local.agent_path
  description = "The CloudWatch agent's configuration on machines of the scale set ${var.name}"
  type        = "String"
  tier        = "Intelligent-Tiering"
  tags        = local.tags

  insecure_value = coalesce(var.log.config, jsonencode({
    agent = { run_as_user = "root" }
    logs  = { logs_collected = { files = { collect_list = local.files } } }
  }))
}
