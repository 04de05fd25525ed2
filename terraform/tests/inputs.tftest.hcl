# Each input of the table of philips-labs/github-runner, by its effect in the plan. A test compares these names with the table.

mock_provider "aws" {
  mock_data "aws_caller_identity" { defaults = { account_id = "123456789012" } }
  mock_data "aws_partition" { defaults = { partition = "aws" } }
  mock_data "aws_region" { defaults = { id = "eu-west-1", name = "eu-west-1" } }
  mock_data "aws_ami" { defaults = { id = "ami-87654321", root_device_name = "/dev/sda1" } }
  mock_data "aws_ssm_parameter" { defaults = { value = "77", insecure_value = "ami-12345678" } }
  mock_data "aws_subnet" { defaults = { id = "subnet-1", availability_zone = "eu-west-1a" } }

  mock_resource "aws_sqs_queue" { defaults = { arn = "arn:aws:sqs:eu-west-1:123456789012:queue", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/queue" } }
  mock_resource "aws_iam_role" { defaults = { arn = "arn:aws:iam::123456789012:role/role" } }
  mock_resource "aws_lambda_function" { defaults = { arn = "arn:aws:lambda:eu-west-1:123456789012:function:function", invoke_arn = "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-west-1:123456789012:function:function/invocations" } }
  mock_resource "aws_cloudwatch_event_rule" { defaults = { arn = "arn:aws:events:eu-west-1:123456789012:rule/rule" } }
  mock_resource "aws_cloudwatch_log_group" { defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:group" } }
  mock_resource "aws_dynamodb_table" { defaults = { arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/ledger" } }
  mock_resource "aws_s3_bucket" { defaults = { arn = "arn:aws:s3:::bucket", id = "bucket" } }
  mock_resource "aws_kms_key" { defaults = { arn = "arn:aws:kms:eu-west-1:123456789012:key/made", key_id = "made" } }
  mock_resource "aws_apigatewayv2_api" { defaults = { api_endpoint = "https://a1.execute-api.eu-west-1.amazonaws.com", execution_arn = "arn:aws:execute-api:eu-west-1:123456789012:a1" } }
  mock_resource "aws_launch_template" { defaults = { id = "lt-1", latest_version = 1 } }
  mock_resource "aws_ssm_parameter" { defaults = { arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/p" } }
}

variables {
  aws_region                        = "eu-west-1"
  environment                       = "ci"
  vpc_id                            = "vpc-1"
  subnet_ids                        = ["subnet-1"]
  enable_organization_runners       = true
  github_app                        = { key_base64 = "a2V5", id = "1", webhook_secret = "12345678" }
  webhook_lambda_zip                = "./tests/fixtures/webhook.zip"
  runners_lambda_zip                = "./tests/fixtures/runners.zip"
  runner_binaries_syncer_lambda_zip = "./tests/fixtures/syncer.zip"
}

run "input_aws_region" {
  command = apply
  assert {
    condition     = data.aws_region.this.id == var.aws_region
    error_message = "aws_region has no such effect"
  }
}

run "input_environment" {
  command = apply
  variables {
    environment = "blue"
  }
  assert {
    condition     = output.functions["webhook"] == "blue-webhook"
    error_message = "environment has no such effect"
  }
  assert {
    condition     = output.plane.path == "/runnersmith/blue"
    error_message = "environment has no such effect"
  }
  assert {
    condition     = jsondecode(output.scale_set_policies["blue"]).name == "blue"
    error_message = "environment has no such effect"
  }
}

run "input_vpc_id" {
  command = apply
  variables {
    vpc_id = "vpc-2"
  }
  assert {
    condition     = output.checks["ci"].vpc_id == "vpc-2"
    error_message = "vpc_id has no such effect"
  }
}

run "input_subnet_ids" {
  command = apply
  variables {
    subnet_ids = ["subnet-1", "subnet-2"]
  }
  assert {
    condition     = length(jsondecode(output.scale_set_policies["ci"]).ec2.subnets) == 2
    error_message = "subnet_ids has no such effect"
  }
}

run "input_github_app" {
  command = apply
  variables {
    github_app = { key_base64 = "a2V5", id = "42", webhook_secret = "12345678" }
  }
  assert {
    condition     = jsondecode(output.plane_settings).github.app_id == "42"
    error_message = "github_app has no such effect"
  }
}

run "input_enable_organization_runners" {
  command = apply
  variables {
    enable_organization_runners = false
  }
  assert {
    condition     = jsondecode(output.scale_set_policies["ci"]).level == "repository"
    error_message = "enable_organization_runners has no such effect"
  }
}

run "without_a_filter_the_image_is_the_one_that_aws_names" {
  command = apply
  assert {
    condition     = output.checks["ci"].image == "ami-12345678" && output.checks["ci"].ami_owners == null && output.checks["ci"].root_device == "/dev/xvda"
    error_message = "another image"
  }
}

run "input_ami_filter" {
  command = apply
  variables {
    ami_filter = { name = ["mine-*"] }
  }
  assert {
    condition     = contains(output.checks["ci"].ami_filter.name, "mine-*")
    error_message = "ami_filter has no such effect"
  }
  assert {
    condition     = output.checks["ci"].image == "ami-87654321" && output.checks["ci"].root_device == "/dev/sda1"
    error_message = "the image's own root would stay small, beside a second disk"
  }
}

run "input_ami_owners" {
  command = apply
  variables {
    ami_owners = ["self"]
  }
  assert {
    condition     = output.checks["ci"].ami_owners == tolist(["self"]) && output.checks["ci"].image == "ami-87654321"
    error_message = "ami_owners has no such effect"
  }
}

run "input_block_device_mappings" {
  command = apply
  variables {
    block_device_mappings = { volume_size = "77", volume_type = "io2", iops = "3000" }
  }
  assert {
    condition     = output.checks["ci"].disk.volume_size == 77
    error_message = "block_device_mappings has no such effect"
  }
  assert {
    condition     = output.checks["ci"].disk.volume_type == "io2"
    error_message = "block_device_mappings has no such effect"
  }
}

run "input_cloudwatch_config" {
  command = apply
  variables {
    cloudwatch_config = "{\"agent\":{}}"
  }
  assert {
    condition     = output.checks["ci"].agent == "{\"agent\":{}}"
    error_message = "cloudwatch_config has no such effect"
  }
}

run "input_create_service_linked_role_spot" {
  command = apply
  variables {
    create_service_linked_role_spot = true
  }
  assert {
    condition     = length(aws_iam_service_linked_role.spot) == 1
    error_message = "create_service_linked_role_spot has no such effect"
  }
}

run "input_enable_cloudwatch_agent" {
  command = apply
  variables {
    enable_cloudwatch_agent = false
  }
  assert {
    condition     = output.checks["ci"].agent == null
    error_message = "enable_cloudwatch_agent has no such effect"
  }
  assert {
    condition     = length(output.checks["ci"].log_groups) == 0
    error_message = "enable_cloudwatch_agent has no such effect"
  }
}

run "input_enable_ssm_on_runners" {
  command = apply
  variables {
    enable_ssm_on_runners = true
  }
  assert {
    condition     = strcontains(output.machine_policies["ci"], "ssmmessages:OpenDataChannel")
    error_message = "enable_ssm_on_runners has no such effect"
  }
}

run "input_encrypt_secrets" {
  command = apply
  variables {
    encrypt_secrets = false
  }
  assert {
    condition     = !output.plane.has_key
    error_message = "encrypt_secrets has no such effect"
  }
  assert {
    condition     = jsondecode(output.plane_settings).aws.encrypt_hand_off == false
    error_message = "encrypt_secrets has no such effect"
  }
}

run "input_ghes_url" {
  command = apply
  variables {
    ghes_url = "https://github.example.com"
  }
  assert {
    condition     = jsondecode(output.plane_settings).github.server_url == "https://github.example.com"
    error_message = "ghes_url has no such effect"
  }
}

run "input_idle_config" {
  command = apply
  variables {
    idle_config = [{ cron = "* * 9-17 * * 1-5", timeZone = "UTC", idleCount = 2 }]
  }
  assert {
    condition     = jsondecode(output.scale_set_policies["ci"]).idle_config[0].idleCount == 2
    error_message = "idle_config has no such effect"
  }
}

run "input_instance_profile_path" {
  command = apply
  variables {
    instance_profile_path = "/profiles/"
  }
  assert {
    condition     = output.checks["ci"].profile_path == "/profiles/"
    error_message = "instance_profile_path has no such effect"
  }
}

run "input_instance_type" {
  command = apply
  variables {
    instance_type = "m7i.xlarge"
  }
  assert {
    condition     = jsondecode(output.scale_set_policies["ci"]).ec2.instance_types == ["m7i.xlarge"]
    error_message = "instance_type has no such effect"
  }
}

run "input_key_name" {
  command = apply
  variables {
    key_name = "mine"
  }
  assert {
    condition     = output.checks["ci"].key_name == "mine"
    error_message = "key_name has no such effect"
  }
}

run "input_kms_key_id" {
  command = apply
  variables {
    kms_key_id = "arn:aws:kms:eu-west-1:123456789012:key/mine"
  }
  assert {
    condition     = output.plane.key_arn == "arn:aws:kms:eu-west-1:123456789012:key/mine"
    error_message = "kms_key_id has no such effect"
  }
}

run "input_lambda_s3_bucket" {
  command = apply
  variables {
    lambda_s3_bucket                 = "zips"
    webhook_lambda_s3_key            = "webhook.zip"
    webhook_lambda_s3_object_version = "v1"
  }
  assert {
    condition     = output.code["webhook"].bucket == "zips"
    error_message = "lambda_s3_bucket has no such effect"
  }
}

run "input_lambda_security_group_ids" {
  command = apply
  variables {
    lambda_subnet_ids         = ["subnet-9"]
    lambda_security_group_ids = ["sg-9"]
  }
  assert {
    condition     = output.code["webhook"].security_group_ids == tolist(["sg-9"])
    error_message = "lambda_security_group_ids has no such effect"
  }
}

run "input_lambda_subnet_ids" {
  command = apply
  variables {
    lambda_subnet_ids         = ["subnet-9"]
    lambda_security_group_ids = ["sg-9"]
  }
  assert {
    condition     = output.code["webhook"].subnet_ids == tolist(["subnet-9"])
    error_message = "lambda_subnet_ids has no such effect"
  }
  assert {
    condition     = strcontains(output.policies["webhook"], "ec2:CreateNetworkInterface")
    error_message = "lambda_subnet_ids has no such effect"
  }
}

run "input_logging_retention_in_days" {
  command = apply
  variables {
    logging_retention_in_days = 7
  }
  assert {
    condition     = output.code["webhook"].retention == 7
    error_message = "logging_retention_in_days has no such effect"
  }
  assert {
    condition     = output.checks["ci"].retention == 7
    error_message = "logging_retention_in_days has no such effect"
  }
}

run "input_manage_kms_key" {
  command = apply
  variables {
    manage_kms_key = false
  }
  assert {
    condition     = !output.plane.has_key
    error_message = "manage_kms_key has no such effect"
  }
}

run "input_minimum_running_time_in_minutes" {
  command = apply
  variables {
    minimum_running_time_in_minutes = 9
  }
  assert {
    condition     = jsondecode(output.scale_set_policies["ci"]).minimum_running_time_in_minutes == 9
    error_message = "minimum_running_time_in_minutes has no such effect"
  }
}

run "input_role_path" {
  command = apply
  variables {
    role_path = "/team/"
  }
  assert {
    condition     = output.checks["ci"].role_path == "/team/"
    error_message = "role_path has no such effect"
  }
  assert {
    condition     = output.code["webhook"].role_path == "/team/"
    error_message = "role_path has no such effect"
  }
}

run "input_role_permissions_boundary" {
  command = apply
  variables {
    role_permissions_boundary = "arn:aws:iam::123456789012:policy/b"
  }
  assert {
    condition     = output.checks["ci"].boundary == "arn:aws:iam::123456789012:policy/b"
    error_message = "role_permissions_boundary has no such effect"
  }
  assert {
    condition     = output.code["syncer"].boundary == "arn:aws:iam::123456789012:policy/b"
    error_message = "role_permissions_boundary has no such effect"
  }
}

run "input_runner_additional_security_group_ids" {
  command = apply
  variables {
    runner_additional_security_group_ids = ["sg-7"]
  }
  assert {
    condition     = contains(output.checks["ci"].more_security_groups, "sg-7")
    error_message = "runner_additional_security_group_ids has no such effect"
  }
}

run "input_runner_allow_prerelease_binaries" {
  command = apply
  variables {
    runner_allow_prerelease_binaries = true
  }
  assert {
    condition     = output.code["syncer"].variables["RUNNERSMITH_PRERELEASE"] == "true"
    error_message = "runner_allow_prerelease_binaries has no such effect"
  }
}

run "input_runner_as_root" {
  command = apply
  variables {
    runner_as_root = true
  }
  assert {
    condition     = strcontains(output.checks["ci"].user_data, "as_root='true'")
    error_message = "runner_as_root has no such effect"
  }
}

run "input_runner_binaries_syncer_lambda_timeout" {
  command = apply
  variables {
    runner_binaries_syncer_lambda_timeout = 301
  }
  assert {
    condition     = output.code["syncer"].timeout == 301
    error_message = "runner_binaries_syncer_lambda_timeout has no such effect"
  }
}

run "input_runner_binaries_syncer_lambda_zip" {
  command = apply
  variables {
    runner_binaries_syncer_lambda_zip = "./tests/fixtures/runners.zip"
  }
  assert {
    condition     = output.code["syncer"].file == "./tests/fixtures/runners.zip"
    error_message = "runner_binaries_syncer_lambda_zip has no such effect"
  }
}

run "input_runner_extra_labels" {
  command = apply
  variables {
    runner_extra_labels = "auto-scale, aws"
  }
  assert {
    condition     = jsondecode(output.scale_set_policies["ci"]).labels == ["self-hosted", "linux", "x64", "auto-scale", "aws"]
    error_message = "runner_extra_labels has no such effect"
  }
}

run "input_runner_group_name" {
  command = apply
  variables {
    runner_group_name = "ours"
  }
  assert {
    condition     = jsondecode(output.scale_set_policies["ci"]).runner_group == "ours"
    error_message = "runner_group_name has no such effect"
  }
}

run "input_runner_iam_role_managed_policy_arns" {
  command = apply
  variables {
    runner_iam_role_managed_policy_arns = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
  }
  assert {
    condition     = output.checks["ci"].managed[0] == "arn:aws:iam::aws:policy/ReadOnlyAccess"
    error_message = "runner_iam_role_managed_policy_arns has no such effect"
  }
}

run "input_runner_log_files" {
  command = apply
  variables {
    runner_log_files = [{ log_group_name = "mine", prefix_log_group = false, file_path = "/x", log_stream_name = "s" }]
  }
  assert {
    condition     = contains(output.checks["ci"].log_groups, "mine")
    error_message = "runner_log_files has no such effect"
  }
  assert {
    condition     = strcontains(output.checks["ci"].agent, "\"file_path\":\"/x\"")
    error_message = "runner_log_files has no such effect"
  }
}

run "input_runners_lambda_s3_key" {
  command = apply
  variables {
    lambda_s3_bucket                 = "zips"
    runners_lambda_s3_key            = "r.zip"
    runners_lambda_s3_object_version = "v1"
  }
  assert {
    condition     = output.code["scale-up"].key == "r.zip"
    error_message = "runners_lambda_s3_key has no such effect"
  }
}

run "input_runners_lambda_s3_object_version" {
  command = apply
  variables {
    lambda_s3_bucket                 = "zips"
    runners_lambda_s3_key            = "r.zip"
    runners_lambda_s3_object_version = "v1"
  }
  assert {
    condition     = output.code["scale-up"].object_version == "v1"
    error_message = "runners_lambda_s3_object_version has no such effect"
  }
}

run "input_runners_lambda_zip" {
  command = apply
  variables {
    runners_lambda_zip = "./tests/fixtures/syncer.zip"
  }
  assert {
    condition     = output.code["scale-down"].file == "./tests/fixtures/syncer.zip"
    error_message = "runners_lambda_zip has no such effect"
  }
}

run "input_runners_maximum_count" {
  command = apply
  variables {
    runners_maximum_count = 12
  }
  assert {
    condition     = jsondecode(output.scale_set_policies["ci"]).runners_max == 12
    error_message = "runners_maximum_count has no such effect"
  }
}

run "input_runners_scale_down_lambda_timeout" {
  command = apply
  variables {
    runners_scale_down_lambda_timeout = 61
  }
  assert {
    condition     = output.code["scale-down"].timeout == 61
    error_message = "runners_scale_down_lambda_timeout has no such effect"
  }
}

run "input_runners_scale_up_lambda_timeout" {
  command = apply
  variables {
    runners_scale_up_lambda_timeout = 120
  }
  assert {
    condition     = output.code["scale-up"].timeout == 120
    error_message = "runners_scale_up_lambda_timeout has no such effect"
  }
  assert {
    condition     = output.visibility_timeout == 720
    error_message = "runners_scale_up_lambda_timeout has no such effect"
  }
}

run "input_scale_down_schedule_expression" {
  command = apply
  variables {
    scale_down_schedule_expression = "rate(2 minutes)"
  }
  assert {
    condition     = output.schedules["scale-down"] == "rate(2 minutes)"
    error_message = "scale_down_schedule_expression has no such effect"
  }
}

run "input_syncer_lambda_s3_key" {
  command = apply
  variables {
    lambda_s3_bucket                = "zips"
    syncer_lambda_s3_key            = "s.zip"
    syncer_lambda_s3_object_version = "v1"
  }
  assert {
    condition     = output.code["syncer"].key == "s.zip"
    error_message = "syncer_lambda_s3_key has no such effect"
  }
}

run "input_syncer_lambda_s3_object_version" {
  command = apply
  variables {
    lambda_s3_bucket                = "zips"
    syncer_lambda_s3_key            = "s.zip"
    syncer_lambda_s3_object_version = "v2"
  }
  assert {
    condition     = output.code["syncer"].object_version == "v2"
    error_message = "syncer_lambda_s3_object_version has no such effect"
  }
}

run "input_tags" {
  command = apply
  variables {
    tags = { Team = "ci" }
  }
  assert {
    condition     = output.checks["ci"].tags["Team"] == "ci"
    error_message = "tags has no such effect"
  }
  assert {
    condition     = output.code["webhook"].tags["Team"] == "ci"
    error_message = "tags has no such effect"
  }
}

run "input_userdata_post_install" {
  command = apply
  variables {
    userdata_post_install = "echo when it is installed"
    userdata_after_runner = "echo when it has ended"
  }
  # Templates hold the snippets before the steps: what counts is which step runs which.
  assert {
    condition     = can(regex("(?s)post-install\\.sh\" <<'RUNNERSMITH_SNIPPET'\necho when it is installed\n.*after-runner\\.sh\" <<'RUNNERSMITH_SNIPPET'\necho when it has ended\n", output.checks["ci"].user_data))
    error_message = "userdata_post_install has no such effect"
  }
  assert {
    condition     = can(regex("(?s)\nstep distribution\n.*\n\\. \"\\$state/post-install\\.sh\"\n.*\nstep hand-off\n.*\nstep run\n.*after-runner\\.sh\"\n", output.checks["ci"].user_data))
    error_message = "userdata_post_install runs before the runner starts, userdata_after_runner after it has ended"
  }
}

run "input_userdata_pre_install" {
  command = apply
  variables {
    userdata_pre_install = "echo before"
  }
  assert {
    condition     = strcontains(output.checks["ci"].user_data, "echo before")
    error_message = "userdata_pre_install has no such effect"
  }
}

run "input_userdata_template" {
  command = apply
  variables {
    userdata_template = "./tests/fixtures/user-data.tftpl"
  }
  assert {
    condition     = output.checks["ci"].user_data == "own ci /runnersmith/ci/hand-off\n"
    error_message = "userdata_template has no such effect"
  }
}

run "input_webhook_lambda_s3_key" {
  command = apply
  variables {
    lambda_s3_bucket                 = "zips"
    webhook_lambda_s3_key            = "w.zip"
    webhook_lambda_s3_object_version = "v1"
  }
  assert {
    condition     = output.code["webhook"].key == "w.zip"
    error_message = "webhook_lambda_s3_key has no such effect"
  }
}

run "input_webhook_lambda_s3_object_version" {
  command = apply
  variables {
    lambda_s3_bucket                 = "zips"
    webhook_lambda_s3_key            = "w.zip"
    webhook_lambda_s3_object_version = "v3"
  }
  assert {
    condition     = output.code["webhook"].object_version == "v3"
    error_message = "webhook_lambda_s3_object_version has no such effect"
  }
}

run "input_webhook_lambda_timeout" {
  command = apply
  variables {
    webhook_lambda_timeout = 8
  }
  assert {
    condition     = output.code["webhook"].timeout == 8
    error_message = "webhook_lambda_timeout has no such effect"
  }
}

run "input_webhook_lambda_zip" {
  command = apply
  variables {
    webhook_lambda_zip = "./tests/fixtures/runners.zip"
  }
  assert {
    condition     = output.code["webhook"].file == "./tests/fixtures/runners.zip"
    error_message = "webhook_lambda_zip has no such effect"
  }
}


run "input_alarm_topic_arns" {
  command = apply
  variables {
    alarm_topic_arns = ["arn:aws:sns:eu-west-1:123456789012:on-call"]
  }
  assert {
    condition     = length(output.alarms) == 5 && alltrue([for actions in values(output.alarms) : actions == toset(["arn:aws:sns:eu-west-1:123456789012:on-call"])])
    error_message = "alarm_topic_arns has no such effect"
  }
}

# Six for each scale set are 1.80 dollars a month, job or none.
run "input_custom_metrics" {
  command = apply
  variables {
    custom_metrics = true
  }
  assert {
    condition     = output.code["scale-down"].variables.RUNNERSMITH_METRICS == "true"
    error_message = "custom_metrics has no such effect"
  }
}

run "without_a_word_no_metric_is_paid_for" {
  command = apply
  assert {
    condition     = alltrue([for function in ["scale-up", "scale-down", "housekeeper"] : output.code[function].variables.RUNNERSMITH_METRICS == "false"])
    error_message = "metrics are made that nobody asked for"
  }
}

# A caller's own input may be null.
run "a_disk_without_a_key_may_say_null" {
  command = plan
  variables {
    block_device_mappings = { kms_key_id = null, volume_size = 40 }
  }
  assert {
    condition     = !strcontains(output.policies["scale-up"], "DiskKeys")
    error_message = "a right is there that nobody asked for"
  }
}

run "input_disk_kms_key_arns" {
  command = apply
  variables {
    disk_kms_key_arns     = ["arn:aws:kms:eu-west-1:123456789012:key/images"]
    block_device_mappings = { kms_key_id = "arn:aws:kms:eu-west-1:123456789012:key/disks" }
  }
  # EC2 uses both keys in the name of who launches, and makes a grant for the volume.
  assert {
    condition = alltrue([for function in ["scale-up", "scale-down", "housekeeper"] : length([
      for statement in jsondecode(output.policies[function]).Statement : statement
      if startswith(statement.Sid, "DiskKeys") && toset(statement.Resource) == toset(["arn:aws:kms:eu-west-1:123456789012:key/images", "arn:aws:kms:eu-west-1:123456789012:key/disks"])
    ]) == 2])
    error_message = "disk_kms_key_arns has no such effect"
  }
  assert {
    condition = alltrue([for statement in jsondecode(output.policies["scale-up"]).Statement :
      !contains(statement.Action, "kms:CreateGrant") || try(statement.Condition.Bool["kms:GrantIsForAWSResource"], "") == "true"
    ])
    error_message = "a grant is for EC2 alone"
  }
}

run "without_keys_of_disks_nobody_has_rights_on_any" {
  command = apply
  assert {
    condition     = !strcontains(output.policies["scale-up"], "DiskKeys") && !strcontains(output.policies["scale-up"], "kms:CreateGrant")
    error_message = "a right is there that nobody asked for"
  }
}

run "a_chain_of_authorities_may_have_more_than_4_kb" {
  command = plan
  variables {
    ghes_ca = "-----BEGIN CERTIFICATE-----\n"
  }
  assert {
    condition     = aws_ssm_parameter.ghes_ca[0].tier == "Intelligent-Tiering"
    error_message = "A standard parameter has 4 KB at the most."
  }
}

run "input_github_app_by_parameters" {
  command = apply
  variables {
    github_app = {
      id_ssm             = { name = "/app/id", arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/app/id" }
      key_base64_ssm     = { name = "/app/key", arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/app/key" }
      webhook_secret_ssm = { name = "app-secret" }
    }
  }
  assert {
    condition     = [for key in ["app_id", "private_key_parameter"] : jsondecode(output.plane_settings).github[key]] == ["77", "arn:aws:ssm:eu-west-1:123456789012:parameter/app/key"]
    error_message = "github_app_by_parameters has no such effect"
  }
  assert {
    condition     = output.webhook_secret_parameter == "app-secret"
    error_message = "github_app_by_parameters has no such effect"
  }
  assert {
    condition     = strcontains(output.policies["webhook"], "arn:aws:ssm:eu-west-1:123456789012:parameter/app-secret\"") && !strcontains(output.policies["webhook"], "/app/key")
    error_message = "github_app_by_parameters has no such effect"
  }
  assert {
    condition     = strcontains(output.policies["scale-up"], "arn:aws:ssm:eu-west-1:123456789012:parameter/app/key\"") && !strcontains(output.policies["scale-up"], "/secrets/")
    error_message = "github_app_by_parameters has no such effect"
  }
}

# Of the image that a parameter names the filter's image says nothing.
run "an_image_by_parameter_wins_over_a_filter_also_in_its_root_device" {
  command = apply
  variables {
    ami_filter                = { name = ["mine-*"] }
    ami_id_ssm_parameter_name = "/images/runner"
  }
  assert {
    condition     = output.checks["ci"].image == "resolve:ssm:/images/runner" && output.checks["ci"].root_device == "/dev/xvda"
    error_message = "another image, or another image's root device"
  }
}

run "input_ami_id_ssm_parameter_name" {
  command = apply
  variables {
    ami_id_ssm_parameter_name = "/images/runner"
  }
  assert {
    condition     = output.checks["ci"].image == "resolve:ssm:/images/runner" && output.checks["ci"].ami_owners == null
    error_message = "ami_id_ssm_parameter_name has no such effect"
  }
  assert {
    condition     = strcontains(output.policies["scale-up"], "arn:aws:ssm:eu-west-1:123456789012:parameter/images/runner\"")
    error_message = "ami_id_ssm_parameter_name has no such effect"
  }
  assert {
    condition     = !strcontains(output.policies["webhook"], "/images/runner")
    error_message = "ami_id_ssm_parameter_name has no such effect"
  }
}

run "input_ami_id_ssm_parameter_name_of_aws" {
  command = apply
  variables {
    ami_id_ssm_parameter_name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
  }
  assert {
    condition     = strcontains(output.policies["scale-up"], "arn:aws:ssm:eu-west-1::parameter/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64\"")
    error_message = "ami_id_ssm_parameter_name_of_aws has no such effect"
  }
}

run "input_associate_public_ipv4_address" {
  command = apply
  variables {
    associate_public_ipv4_address = true
  }
  assert {
    condition     = tobool(output.checks["ci"].interfaces[0].associate_public_ip_address) && length(output.checks["ci"].interfaces[0].security_groups) == 1
    error_message = "associate_public_ipv4_address has no such effect"
  }
}

run "input_associate_public_ipv4_address_none" {
  command = apply
  variables {
    associate_public_ipv4_address        = false
    runner_additional_security_group_ids = ["sg-2"]
  }
  assert {
    condition     = !tobool(output.checks["ci"].interfaces[0].associate_public_ip_address) && contains(output.checks["ci"].interfaces[0].security_groups, "sg-2")
    error_message = "associate_public_ipv4_address_none has no such effect"
  }
}

run "input_log_level" {
  command = apply
  variables {
    log_level = "debug"
  }
  assert {
    condition     = output.code["webhook"].variables["RUNNERSMITH_LOG"] == "debug"
    error_message = "log_level has no such effect"
  }
}

run "input_runner_boot_time_in_minutes" {
  command = apply
  variables {
    runner_boot_time_in_minutes = 9
  }
  assert {
    condition     = jsondecode(output.scale_set_policies["ci"]).boot_deadline_minutes == 9
    error_message = "runner_boot_time_in_minutes has no such effect"
  }
  assert {
    condition     = strcontains(output.checks["ci"].user_data, "deadline='540'")
    error_message = "runner_boot_time_in_minutes has no such effect"
  }
}

run "input_runner_disable_default_labels" {
  command = apply
  variables {
    runner_disable_default_labels = true
    runner_extra_labels           = "only"
  }
  assert {
    condition     = output.labels["ci"] == tolist(["only"])
    error_message = "runner_disable_default_labels has no such effect"
  }
}

run "input_runner_ec2_tags" {
  command = apply
  variables {
    runner_ec2_tags = { Cost = "ci", "runnersmith:environment" = "another" }
  }
  assert {
    condition     = output.checks["ci"].machine_tags["Cost"] == "ci" && output.checks["ci"].machine_tags["runnersmith:environment"] == "ci"
    error_message = "runner_ec2_tags has no such effect"
  }
  assert {
    condition     = !contains(keys(output.checks["ci"].tags), "Cost")
    error_message = "runner_ec2_tags has no such effect"
  }
}

run "input_runner_hook_job_started" {
  command = apply
  variables {
    runner_hook_job_started   = "echo job one"
    runner_hook_job_completed = "echo job two"
  }
  assert {
    condition     = can(regex("(?s)hook busy .*echo job one.*hook job-done .*echo job two", output.checks["ci"].user_data))
    error_message = "runner_hook_job_started has no such effect"
  }
}

run "input_runner_run_as" {
  command = apply
  variables {
    runner_run_as = "ubuntu"
  }
  assert {
    condition     = strcontains(output.checks["ci"].user_data, "user='ubuntu'")
    error_message = "runner_run_as has no such effect"
  }
}

run "input_image_has_runner" {
  command = apply
  variables {
    image_has_runner = true
  }
  assert {
    condition     = strcontains(output.checks["ci"].user_data, "distribution=''")
    error_message = "image_has_runner has no such effect"
  }
  assert {
    condition     = !strcontains(output.machine_policies["ci"], "s3:GetObject")
    error_message = "image_has_runner has no such effect"
  }
}

run "input_metadata_hop_limit" {
  command = apply
  variables {
    metadata_hop_limit = 2
  }
  assert {
    condition     = output.checks["ci"].hop_limit == 2
    error_message = "metadata_hop_limit has no such effect"
  }
}

run "input_notify_authors" {
  command = apply
  variables {
    notify_authors    = false
    rerun_interrupted = true
  }
  assert {
    condition     = jsondecode(output.scale_set_policies["ci"]).tell == false && jsondecode(output.scale_set_policies["ci"]).rerun_interrupted == true
    error_message = "notify_authors has no such effect"
  }
}

# Each set has what its entry says, and the rest from the inputs.
run "scale_sets_of_different_kinds" {
  command = apply
  variables {
    runner_extra_labels  = "all"
    userdata_pre_install = "echo of all"
    scale_sets = {
      plain = {}
      other = {
        labels                               = ["big"]
        runner_disable_default_labels        = true
        priority                             = 7
        enable_organization_runners          = false
        register_at                          = "acme/shop"
        ephemeral                            = false
        delay_webhook_event                  = 20
        minimum_running_time_in_minutes      = 11
        notify_authors                       = false
        allocation_strategy                  = "lowest-price"
        spot_max_price                       = "0.5"
        ami_id_ssm_parameter_name            = "/images/other"
        image_has_runner                     = true
        block_device_mappings                = { volume_size = 99, snapshot_id = "snap-1" }
        vpc_id                               = "vpc-9"
        runner_additional_security_group_ids = ["sg-9"]
        associate_public_ipv4_address        = true
        metadata_hop_limit                   = 2
        runner_boot_time_in_minutes          = 8
        runner_as_root                       = true
        runner_run_as                        = "ubuntu"
        runner_ec2_tags                      = { Kind = "other" }
        runner_iam_role_managed_policy_arns  = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
        enable_ssm_on_runners                = true
        userdata_pre_install                 = ""
        userdata_post_install                = "echo of other"
        enable_cloudwatch_agent              = false
        idle_config                          = [{ cron = "* * 8-17 * * 1-5", timeZone = "UTC", idleCount = 2 }]
      }
    }
  }
  assert {
    condition     = output.labels["plain"] == tolist(["self-hosted", "linux", "x64", "all"]) && output.labels["other"] == tolist(["all", "big"])
    error_message = "labels"
  }
  assert {
    condition     = jsondecode(output.scale_set_policies["plain"]).level == "organization" && jsondecode(output.scale_set_policies["plain"]).ephemeral && jsondecode(output.scale_set_policies["plain"]).priority == 0
    error_message = "what is not given is the input's"
  }
  assert {
    condition = (
      jsondecode(output.scale_set_policies["other"]).level == "repository" && jsondecode(output.scale_set_policies["other"]).at == "acme/shop" &&
      !jsondecode(output.scale_set_policies["other"]).ephemeral && jsondecode(output.scale_set_policies["other"]).priority == 7 &&
      jsondecode(output.scale_set_policies["other"]).delay_seconds == 20 && jsondecode(output.scale_set_policies["other"]).minimum_running_time_in_minutes == 11 &&
      jsondecode(output.scale_set_policies["other"]).boot_deadline_minutes == 8 && !jsondecode(output.scale_set_policies["other"]).tell &&
      jsondecode(output.scale_set_policies["other"]).ec2.allocation_strategy == "lowest-price" && jsondecode(output.scale_set_policies["other"]).ec2.spot_max_price == "0.5" &&
      jsondecode(output.scale_set_policies["other"]).idle_config[0].idleCount == 2
    )
    error_message = "the policy"
  }
  assert {
    condition     = output.checks["other"].image == "resolve:ssm:/images/other" && output.checks["plain"].image == "ami-12345678"
    error_message = "images"
  }
  assert {
    condition     = output.checks["other"].disk.volume_size == 99 && output.checks["other"].disk.snapshot_id == "snap-1" && output.checks["other"].vpc_id == "vpc-9" && output.checks["plain"].vpc_id == "vpc-1"
    error_message = "disk and network"
  }
  assert {
    condition     = output.checks["other"].hop_limit == 2 && tobool(output.checks["other"].interfaces[0].associate_public_ip_address) && contains(output.checks["other"].interfaces[0].security_groups, "sg-9") && output.checks["other"].machine_tags["Kind"] == "other"
    error_message = "machines"
  }
  assert {
    condition     = contains(output.checks["other"].managed, "arn:aws:iam::aws:policy/ReadOnlyAccess") && strcontains(output.machine_policies["other"], "ssmmessages") && !strcontains(output.machine_policies["plain"], "ssmmessages") && output.checks["other"].agent == null
    error_message = "roles and logs"
  }
  assert {
    condition     = strcontains(output.checks["plain"].user_data, "echo of all") && !strcontains(output.checks["other"].user_data, "echo of all") && strcontains(output.checks["other"].user_data, "echo of other") && strcontains(output.checks["other"].user_data, "as_root='true'")
    error_message = "user data"
  }
}
