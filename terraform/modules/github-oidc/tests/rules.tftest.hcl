# Every rule of the module, by a value that breaks it, and one plan that breaks none.

mock_provider "aws" {
  mock_data "aws_caller_identity" { defaults = { account_id = "123456789012" } }
  mock_data "aws_partition" { defaults = { partition = "aws" } }
  mock_data "aws_region" { defaults = { id = "eu-west-1", name = "eu-west-1" } }
  mock_data "aws_iam_policy_document" { defaults = { json = "{}" } }
}

variables {
  repository       = "acme/runners"
  state_bucket_arn = "arn:aws:s3:::states"
}

run "takes_what_is_right" {
  command = plan
}

run "refuses_repository_without_an_owner" {
  command = plan
  variables {
    repository = "runners"
  }
  expect_failures = [var.repository]
}

run "refuses_repository_that_matches_more" {
  command = plan
  variables {
    repository = "acme/*"
  }
  expect_failures = [var.repository]
}
