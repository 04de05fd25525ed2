# Every rule on an input, by a value that breaks it.

mock_provider "aws" {
  mock_data "aws_caller_identity" { defaults = { account_id = "123456789012" } }
  mock_data "aws_partition" { defaults = { partition = "aws" } }
  mock_data "aws_region" { defaults = { id = "eu-west-1", name = "eu-west-1" } }
  mock_data "aws_ami" { defaults = { id = "ami-12345678" } }
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

run "refuses_environment" {
  command = plan
  variables {
    environment = "has space"
  }
  expect_failures = [var.environment]
}

run "refuses_subnet_ids" {
  command = plan
  variables {
    subnet_ids = []
  }
  expect_failures = [var.subnet_ids]
}

run "refuses_github_app_id" {
  command = plan
  variables {
    github_app = { key_base64 = "a2V5", id = "x y", webhook_secret = "12345678" }
  }
  expect_failures = [var.github_app]
}

run "refuses_github_app_secret" {
  command = plan
  variables {
    github_app = { key_base64 = "a2V5", id = "1", webhook_secret = "short" }
  }
  expect_failures = [var.github_app]
}

run "refuses_github_app_key" {
  command = plan
  variables {
    github_app = { key_base64 = "not base64!", id = "1", webhook_secret = "12345678" }
  }
  expect_failures = [var.github_app]
}

run "refuses_environment_that_begins_like_a_security_group" {
  command = plan
  variables {
    environment = "sg-runners"
  }
  expect_failures = [var.environment]
}

run "refuses_ami_owners" {
  command = plan
  variables {
    ami_owners = []
  }
  expect_failures = [var.ami_owners]
}

run "refuses_block_device_mappings" {
  command = plan
  variables {
    block_device_mappings = { size = "1" }
  }
  expect_failures = [var.block_device_mappings]
}

run "refuses_cloudwatch_config" {
  command = plan
  variables {
    cloudwatch_config = "{"
  }
  expect_failures = [var.cloudwatch_config]
}

run "refuses_ghes_url" {
  command = plan
  variables {
    ghes_url = "http://github.example.com"
  }
  expect_failures = [var.ghes_url]
}

run "refuses_idle_config" {
  command = plan
  variables {
    idle_config = [{ cron = "* * * * *", timeZone = "UTC", idleCount = 1 }]
  }
  expect_failures = [var.idle_config]
}

run "refuses_logging_retention_in_days" {
  command = plan
  variables {
    logging_retention_in_days = 2
  }
  expect_failures = [var.logging_retention_in_days]
}

run "refuses_minimum_running_time_in_minutes" {
  command = plan
  variables {
    minimum_running_time_in_minutes = -1
  }
  expect_failures = [var.minimum_running_time_in_minutes]
}

run "refuses_role_path" {
  command = plan
  variables {
    role_path = "team"
  }
  expect_failures = [var.role_path]
}

run "refuses_runners_maximum_count" {
  command = plan
  variables {
    runners_maximum_count = 0
  }
  expect_failures = [var.runners_maximum_count]
}

run "refuses_runners_scale_up_lambda_timeout" {
  command = plan
  variables {
    runners_scale_up_lambda_timeout = 901
  }
  expect_failures = [var.runners_scale_up_lambda_timeout]
}

run "refuses_scale_down_schedule_expression" {
  command = plan
  variables {
    scale_down_schedule_expression = "every minute"
  }
  expect_failures = [var.scale_down_schedule_expression]
}

run "refuses_userdata_template" {
  command = plan
  variables {
    userdata_template = "./nowhere"
  }
  expect_failures = [var.userdata_template]
}

run "refuses_delay_webhook_event" {
  command = plan
  variables {
    delay_webhook_event = 901
  }
  expect_failures = [var.delay_webhook_event]
}

run "refuses_github_webhook" {
  command = plan
  variables {
    github_webhook = "17"
  }
  expect_failures = [var.github_webhook]
}

run "refuses_capacity" {
  command = plan
  variables {
    capacity = { market = "free" }
  }
  expect_failures = [var.capacity]
}

run "refuses_runner_architecture" {
  command = plan
  variables {
    runner_architecture = "sparc"
  }
  expect_failures = [var.runner_architecture]
}

run "refuses_lambda_architecture" {
  command = plan
  variables {
    lambda_architecture = "x64"
  }
  expect_failures = [var.lambda_architecture]
}

run "refuses_scale_sets" {
  command = plan
  variables {
    scale_sets = { "a b" = {} }
  }
  expect_failures = [var.scale_sets]
}

run "refuses_old_image" {
  command = plan
  variables {
    ami_filter = { name = ["amzn2-ami-hvm-2.*-x86_64-ebs"] }
  }
  expect_failures = [check.image]
}

run "refuses_foreign_region" {
  command = plan
  variables {
    aws_region = "us-east-1"
  }
  expect_failures = [check.region]
}

run "refuses_scale_sets_market" {
  command = plan
  variables {
    scale_sets = { big = { market = "free" } }
  }
  expect_failures = [var.scale_sets]
}

run "refuses_readers" {
  command = plan
  variables {
    readers = ["on-call"]
  }
  expect_failures = [var.readers]
}

run "refuses_kms_key_id_that_is_an_alias" {
  command = plan
  variables {
    kms_key_id = "alias/runners"
  }
  expect_failures = [var.kms_key_id]
}

run "refuses_lambda_security_group_ids_without_subnets" {
  command = plan
  variables {
    lambda_security_group_ids = ["sg-9"]
  }
  expect_failures = [var.lambda_security_group_ids]
}

# Lambda: "SubnetIds and SecurityIds must coexist or be both empty list", in the middle of an apply.
run "refuses_lambda_security_group_ids_that_are_missing" {
  command = plan
  variables {
    lambda_subnet_ids = ["subnet-9"]
  }
  expect_failures = [var.lambda_security_group_ids]
}

run "refuses_alarm_topic_arns" {
  command = plan
  variables {
    alarm_topic_arns = ["on-call@example.com"]
  }
  expect_failures = [var.alarm_topic_arns]
}

run "refuses_disk_kms_key_arns" {
  command = plan
  variables {
    disk_kms_key_arns = ["alias/disks"]
  }
  expect_failures = [var.disk_kms_key_arns]
}

run "refuses_block_device_mappings_with_an_alias" {
  command = plan
  variables {
    block_device_mappings = { kms_key_id = "alias/disks" }
  }
  expect_failures = [var.block_device_mappings]
}

run "warns_of_a_zip_without_a_version" {
  command = plan
  variables {
    lambda_s3_bucket      = "zips"
    runners_lambda_s3_key = "runners.zip"
  }
  expect_failures = [check.versions]
}

run "refuses_github_app_without_key" {
  command = plan
  variables {
    github_app = { id = "1", webhook_secret = "12345678" }
  }
  expect_failures = [var.github_app]
}

run "refuses_github_app_without_id" {
  command = plan
  variables {
    github_app = { key_base64 = "a2V5", webhook_secret = "12345678" }
  }
  expect_failures = [var.github_app]
}

run "refuses_github_app_without_secret" {
  command = plan
  variables {
    github_app = { id = "1", key_base64 = "a2V5" }
  }
  expect_failures = [var.github_app]
}

run "refuses_idle_config_of_eventbridge" {
  command = plan
  variables {
    idle_config = [{ cron = "cron(* 8-18 * * ? 1-5)", timeZone = "UTC", idleCount = 1 }]
  }
  expect_failures = [var.idle_config]
}

run "refuses_log_level" {
  command = plan
  variables {
    log_level = "silly"
  }
  expect_failures = [var.log_level]
}

run "refuses_runner_run_as" {
  command = plan
  variables {
    runner_run_as = "a'b"
  }
  expect_failures = [var.runner_run_as]
}
