# Every rule of the module, by a value that breaks it, and one plan that breaks none.

mock_provider "aws" {
  mock_data "aws_caller_identity" { defaults = { account_id = "123456789012" } }
  mock_data "aws_partition" { defaults = { partition = "aws" } }
  mock_data "aws_region" { defaults = { id = "eu-west-1", name = "eu-west-1" } }
  mock_data "aws_iam_policy_document" { defaults = { json = "{}" } }
  mock_resource "aws_iam_role" { defaults = { arn = "arn:aws:iam::123456789012:role/role" } }
}

variables {
  name         = "ci-webhook"
  handler      = "webhook"
  architecture = "x86_64"
  timeout      = 10
  statements   = []
  code         = { file = "../../tests/fixtures/webhook.zip" }
}

run "takes_what_is_right" {
  command = plan
}

run "refuses_name_over_64_characters" {
  command = plan
  variables {
    name = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  }
  expect_failures = [var.name]
}

run "refuses_zip_that_is_not_there" {
  command = plan
  variables {
    code = { file = "../../tests/fixtures/none.zip" }
  }
  expect_failures = [aws_lambda_function.this]
}

run "refuses_zip_of_another_runtime" {
  command = plan
  variables {
    code = { file = "../../tests/fixtures/node.zip" }
  }
  expect_failures = [aws_lambda_function.this]
}

run "refuses_security_groups_without_subnets" {
  command = plan
  variables {
    network = { security_group_ids = ["sg-1"] }
  }
  expect_failures = [var.network]
}
