# What is not known before the apply may be given wherever a resource of the caller can be.

mock_provider "aws" {
  mock_data "aws_caller_identity" { defaults = { account_id = "123456789012" } }
  mock_data "aws_partition" { defaults = { partition = "aws" } }
  mock_data "aws_region" { defaults = { id = "eu-west-1", name = "eu-west-1" } }
  mock_data "aws_ami" { defaults = { id = "ami-12345678" } }
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

run "ids_that_are_made_in_the_same_apply_can_be_planned" {
  command = plan
  module {
    source = "./tests/fixtures/unknown"
  }
}
