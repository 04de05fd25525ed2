# Every rule of the module, by a value that breaks it, and one plan that breaks none.

mock_provider "aws" {
  mock_data "aws_caller_identity" { defaults = { account_id = "123456789012" } }
  mock_data "aws_partition" { defaults = { partition = "aws" } }
  mock_data "aws_region" { defaults = { id = "eu-west-1", name = "eu-west-1" } }
  mock_data "aws_iam_policy_document" { defaults = { json = "{}" } }
  mock_resource "aws_sqs_queue" { defaults = { arn = "arn:aws:sqs:eu-west-1:123456789012:queue", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/queue" } }
  mock_resource "aws_iam_role" { defaults = { arn = "arn:aws:iam::123456789012:role/role" } }
  mock_resource "aws_lambda_function" { defaults = { arn = "arn:aws:lambda:eu-west-1:123456789012:function:function", invoke_arn = "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-west-1:123456789012:function:function/invocations" } }
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
