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

  assert {
    condition = alltrue([for role in ["plan", "apply"] : alltrue([
      for kind in ["changes/*", "issues/*", "pulls/*"] :
      strcontains(output.policies[role], "arn:aws:s3:::states/actions-runner-envs/${kind}")
    ])])
    error_message = "Both roles keep records."
  }
  assert {
    condition = alltrue([for statement in jsondecode(output.policies.plan).Statement :
      statement.Effect == "Deny" || !contains(statement.Action, "s3:PutObject") || alltrue([for resource in statement.Resource : resource != "arn:aws:s3:::states/*" && !endswith(resource, ".tfstate") && resource != "arn:aws:s3:::states/actions-runner-envs/*"])
    ])
    error_message = "The plan role writes no state."
  }
  assert {
    condition     = length([for statement in jsondecode(output.policies.plan).Statement : statement if statement.Effect == "Deny" && contains(statement.Action, "s3:PutObject") && contains(statement.Resource, "arn:aws:s3:::states/*.tfstate")]) == 1
    error_message = "Nor one of an environment that is called like a record."
  }
  assert {
    condition     = strcontains(output.policies.plan, "parameter/runnersmith/*/hand-off/*") && !strcontains(output.policies.plan, "parameter/runnersmith/*/secrets/*")
    error_message = "The plan role is refused hand-offs, and not secrets, which refreshing reads."
  }
  assert {
    condition     = alltrue([for verb in ["ec2:TerminateInstances", "dynamodb:UpdateItem", "sqs:SendMessage", "ssm:DeleteParameter"] : strcontains(output.policies.apply, verb) && !strcontains(output.policies.plan, verb)])
    error_message = "Only the apply role drains."
  }
  assert {
    condition     = [for statement in jsondecode(output.policies.apply).Statement : statement.Condition.StringLike if statement.Sid == "LedgersKey" && contains(statement.Action, "kms:Decrypt")] == [{ "kms:ViaService" = "dynamodb.*.amazonaws.com*" }]
    error_message = "A ledger with a key of its own can be read by who drains, by way of DynamoDB alone."
  }
}

run "a_shared_planes_secrets_are_refused" {
  command = plan
  variables {
    own_stacks    = false
    plane_paths   = ["/runnersmith/shared"]
    key_prefix    = ""
    state_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/k"
  }
  assert {
    condition     = strcontains(output.policies.plan, "parameter/runnersmith/shared/secrets/*") && !strcontains(output.policies.plan, "RefreshSecrets") && !strcontains(output.policies.apply, "RefreshSecrets")
    error_message = "Nobody decrypts a shared control plane's secrets."
  }
  assert {
    condition     = strcontains(output.policies.plan, "arn:aws:s3:::states/changes/*") && strcontains(output.policies.plan, "arn:aws:kms:eu-west-1:123456789012:key/k")
    error_message = "Records lie at the bucket's top, by its key."
  }
}

run "refuses_key_prefix_with_a_slash_at_its_end" {
  command = plan
  variables {
    key_prefix = "states/"
  }
  expect_failures = [var.key_prefix]
}

run "refuses_plane_paths_without_any" {
  command = plan
  variables {
    plane_paths = []
  }
  expect_failures = [var.plane_paths]
}

run "refuses_plane_paths_that_are_invalid" {
  command = plan
  variables {
    plane_paths = ["runnersmith"]
  }
  expect_failures = [var.plane_paths]
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
