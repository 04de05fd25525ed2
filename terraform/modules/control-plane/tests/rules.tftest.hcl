# Every rule of the module, by a value that breaks it, and one plan that breaks none.

mock_provider "aws" {
  mock_data "aws_caller_identity" { defaults = { account_id = "123456789012" } }
  mock_data "aws_partition" { defaults = { partition = "aws" } }
  mock_data "aws_region" { defaults = { id = "eu-west-1", name = "eu-west-1" } }
  mock_data "aws_iam_policy_document" { defaults = { json = "{}" } }
  mock_resource "aws_sqs_queue" { defaults = { arn = "arn:aws:sqs:eu-west-1:123456789012:queue", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/queue" } }
  mock_resource "aws_iam_role" { defaults = { arn = "arn:aws:iam::123456789012:role/role" } }
  mock_resource "aws_lambda_function" { defaults = { arn = "arn:aws:lambda:eu-west-1:123456789012:function:function", invoke_arn = "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-west-1:123456789012:function:function/invocations" } }
  mock_resource "aws_cloudwatch_event_rule" { defaults = { arn = "arn:aws:events:eu-west-1:123456789012:rule/rule" } }
  mock_resource "aws_cloudwatch_log_group" { defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:group" } }
  mock_resource "aws_s3_bucket" { defaults = { arn = "arn:aws:s3:::bucket", id = "bucket" } }
  mock_resource "aws_apigatewayv2_api" { defaults = { api_endpoint = "https://a1.execute-api.eu-west-1.amazonaws.com", execution_arn = "arn:aws:execute-api:eu-west-1:123456789012:a1" } }
  mock_resource "aws_ssm_parameter" { defaults = { arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/p" } }
  mock_resource "aws_dynamodb_table" { defaults = { arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/ci-ledger" } }
  mock_resource "aws_kms_key" { defaults = { arn = "arn:aws:kms:eu-west-1:123456789012:key/made", key_id = "made" } }
}

variables {
  environment = "ci"
  github      = { app_id = "1" }
  secrets     = { private_key = "a2V5", webhook_secret = "12345678" }
  code = {
    webhook = { file = "../../tests/fixtures/webhook.zip" }
    runners = { file = "../../tests/fixtures/runners.zip" }
    syncer  = { file = "../../tests/fixtures/syncer.zip" }
  }
}

run "takes_what_is_right" {
  command = plan
}

run "refuses_environment_with_a_blank" {
  command = plan
  variables {
    environment = "a b"
  }
  expect_failures = [var.environment]
}

run "refuses_environment_that_is_too_long" {
  command = plan
  variables {
    environment = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  }
  expect_failures = [var.environment]
}

run "refuses_environment_that_begins_like_a_security_group" {
  command = plan
  variables {
    environment = "sg-runners"
  }
  expect_failures = [var.environment]
}

run "refuses_unknown_architecture" {
  command = plan
  variables {
    architecture = "x64"
  }
  expect_failures = [var.architecture]
}

run "refuses_unknown_distribution" {
  command = plan
  variables {
    distribution = { architectures = ["x86_64"] }
  }
  expect_failures = [var.distribution]
}

run "refuses_everybody_as_a_reader" {
  command = plan
  variables {
    readers = ["arn:aws:iam::123456789012:role/on-call", "*"]
  }
  expect_failures = [var.readers]
}

run "without_readers_there_is_the_policy_alone" {
  command = apply
  assert {
    condition     = length(aws_iam_role.reader) == 0 && output.reader_role_arn == null
    error_message = "a role is there that nobody asked for"
  }
  assert {
    condition     = jsonencode(jsondecode(output.reader_policy)) == jsonencode(jsondecode(file("../../tests/fixtures/reader-policy.json")))
    error_message = "tests/fixtures/reader-policy.json is another one than ${output.reader_policy}"
  }
}

run "readers_may_assume_the_role" {
  command = apply
  variables {
    readers = ["arn:aws:iam::123456789012:role/on-call"]
  }
  assert {
    condition     = aws_iam_role_policy.reader[0].policy == output.reader_policy
    error_message = "the role may do other things than the output says"
  }
  assert {
    condition     = jsondecode(aws_iam_role.reader[0].assume_role_policy).Statement[0].Principal.AWS == ["arn:aws:iam::123456789012:role/on-call"]
    error_message = "others may assume the role"
  }
  assert {
    condition     = aws_iam_role.reader[0].name == "ci-reader"
    error_message = "the role is named otherwise"
  }
}

run "a_reader_needs_no_key_where_there_is_none" {
  command = apply
  variables {
    encryption = { enabled = false }
  }
  assert {
    condition     = [for statement in jsondecode(output.reader_policy).Statement : statement.Sid] == ["OwnSettings", "OwnLedger"]
    error_message = "a key is in it"
  }
}

run "refuses_disk_keys_by_alias" {
  command = plan
  variables {
    disk_key_arns = ["alias/disks"]
  }
  expect_failures = [var.disk_key_arns]
}

run "refuses_encryption_by_alias" {
  command = plan
  variables {
    encryption = { kms_key_id = "alias/runners" }
  }
  expect_failures = [var.encryption]
}

run "refuses_alarms_to_somewhere_else" {
  command = plan
  variables {
    alarm_topic_arns = ["https://example.com/alarms"]
  }
  expect_failures = [var.alarm_topic_arns]
}

run "refuses_subnets_without_security_groups" {
  command = plan
  variables {
    network = { subnet_ids = ["subnet-1"] }
  }
  expect_failures = [var.network]
}

# EC2 reports every machine of the account, and those that begin are many at once.
run "functions_are_invoked_for_machines_that_end_and_not_for_those_that_begin" {
  command = apply
  assert {
    condition     = toset(flatten([for pattern in values(output.checks.patterns) : try(jsondecode(pattern).detail.state, [])])) == toset(["shutting-down", "stopping", "terminated"])
    error_message = "other states invoke functions: ${jsonencode(output.checks.patterns)}"
  }
  assert {
    condition     = contains(flatten([for pattern in values(output.checks.patterns) : try(jsondecode(pattern)["detail-type"], [])]), "EC2 Spot Instance Interruption Warning")
    error_message = "a warning invokes nobody"
  }
}

run "every_queue_refuses_what_is_sent_without_tls" {
  command = apply
  assert {
    condition     = length(output.checks.queue_policies) == 4 && alltrue([for policy in output.checks.queue_policies : jsondecode(policy).Statement[0].Sid == "TlsOnly"])
    error_message = "one takes anything"
  }
}

# A function for each event would be a hundred functions for a hundred machines.
run "what_ec2_reports_goes_into_the_queue_which_lets_our_rules_send_and_nobody_else" {
  command = apply
  assert {
    condition     = toset([for name, pattern in output.checks.patterns : output.checks.targets[name] if pattern != null]) == toset(["arn:aws:sqs:eu-west-1:123456789012:queue"])
    error_message = "an event invokes a function: ${jsonencode(output.checks.targets)}"
  }
  assert {
    condition = [for statement in jsondecode(output.checks.queue_policy).Statement : statement if statement.Effect == "Allow"] == [{
      Sid       = "OwnRules"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = "arn:aws:sqs:eu-west-1:123456789012:ci-jobs"
      Condition = { ArnEquals = { "aws:SourceArn" = ["arn:aws:events:eu-west-1:123456789012:rule/ci-interruption", "arn:aws:events:eu-west-1:123456789012:rule/ci-warning"] } }
    }]
    error_message = "others may send, or ours may not: ${output.checks.queue_policy}"
  }
  assert {
    condition     = !contains(keys(output.functions), "interruption")
    error_message = "a function waits for events that go elsewhere"
  }
}

# Its messages to itself are meant.
run "scale_up_may_wake_itself" {
  command = apply
  assert {
    condition     = output.checks.recursive_loop == "Allow"
    error_message = "Lambda takes its wake-ups for a loop, and stops them"
  }
}

# HeadObject and GetObject of S3: 404 for what is not there for who may list the bucket, otherwise 403. They name no prefix.
run "the_syncer_may_list_the_bucket_that_it_fills" {
  command = apply
  assert {
    condition     = [for statement in jsondecode(output.policies["syncer"]).Statement : statement if contains(statement.Action, "s3:ListBucket")] == [{ Sid = "OwnBucketListed", Effect = "Allow", Action = ["s3:ListBucket"], Resource = ["arn:aws:s3:::bucket"] }]
    error_message = "what is not there is forbidden to it"
  }
}

run "in_china_ec2_has_a_name_of_its_own" {
  command = apply
  override_data {
    target = data.aws_partition.this
    values = { partition = "aws-cn" }
  }
  assert {
    condition     = strcontains(output.policies["scale-up"], "ec2.amazonaws.com.cn")
    error_message = "roles are passed to a service that is not there"
  }
}

# Those requests carry no template in EC2's context.
run "a_request_for_spot_machines_is_under_no_condition_on_a_template" {
  command = apply
  assert {
    condition = alltrue([for statement in jsondecode(output.policies["scale-up"]).Statement :
      !strcontains(jsonencode(statement.Resource), "spot-instances-request") || !strcontains(jsonencode(try(statement.Condition, {})), "ec2:LaunchTemplate")
    ])
    error_message = "a tagged request for spot machines would be denied"
  }
}

run "refuses_no_private_key" {
  command = plan
  variables {
    secrets = { webhook_secret = "12345678" }
  }
  expect_failures = [var.secrets]
}

run "refuses_two_webhook_secrets" {
  command = plan
  variables {
    secret_parameters = { webhook_secret = { name = "/other" } }
  }
  expect_failures = [var.secrets]
}

run "takes_secrets_that_are_there_already" {
  command = plan
  variables {
    secrets           = {}
    secret_parameters = { private_key = { name = "/app/key" }, webhook_secret = { name = "secret", arn = "arn:aws:ssm:eu-west-1:210987654321:parameter/secret" } }
  }
  assert {
    condition     = length(aws_ssm_parameter.private_key) == 0 && length(aws_ssm_parameter.webhook_secret) == 0
    error_message = "Nothing is written."
  }
}

# Another account's parameter has a name that means nothing in this one.
run "a_secret_that_is_given_by_its_arn_is_read_by_it" {
  command = apply
  variables {
    secrets           = {}
    secret_parameters = { private_key = { name = "/app/key" }, webhook_secret = { name = "secret", arn = "arn:aws:ssm:eu-west-1:210987654321:parameter/secret" } }
  }
  assert {
    condition     = jsondecode(output.settings).github.webhook_secret_parameter == "arn:aws:ssm:eu-west-1:210987654321:parameter/secret" && output.webhook_secret_parameter == jsondecode(output.settings).github.webhook_secret_parameter
    error_message = "the functions look for it in their own account"
  }
  assert {
    condition     = jsondecode(output.settings).github.private_key_parameter == "/app/key" && strcontains(output.policies["scale-up"], "\"arn:aws:ssm:eu-west-1:123456789012:parameter/app/key\"")
    error_message = "a name without an ARN is this account's"
  }
  assert {
    condition     = strcontains(output.policies["webhook"], "\"arn:aws:ssm:eu-west-1:210987654321:parameter/secret\"") && !strcontains(output.policies["webhook"], "123456789012:parameter/secret\"")
    error_message = "the webhook may not read it"
  }
}
