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

# Tokens of a repository from before 15 July 2026, and of one from after it or with the setting on.
run "trusts_both_forms_of_the_subject_exactly" {
  command = plan
  variables {
    repository      = "acme/runner-control"
    repository_id   = 1317716765
    owner_id        = 123456
    create_provider = false
  }
  assert {
    condition = alltrue([for role in ["plan", "apply"] :
      jsondecode(aws_iam_role.this[role].assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"] == [
        "repo:acme/runner-control:environment:runnersmith-${role}",
        "repo:acme@123456/runner-control@1317716765:environment:runnersmith-${role}",
      ]
    ])
    error_message = "The subject with ids and the one without, each as it stands in a token."
  }
  assert {
    condition     = jsondecode(aws_iam_role.this["apply"].assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:repository_id"] == "1317716765"
    error_message = "Names can be taken again, so the id counts as well."
  }
  assert {
    condition     = keys(jsondecode(aws_iam_role.this["apply"].assume_role_policy).Statement[0].Condition) == ["StringEquals"] && !strcontains(aws_iam_role.this["apply"].assume_role_policy, "*")
    error_message = "Nothing is a pattern."
  }
}

run "without_ids_only_names_are_trusted" {
  command = plan
  variables {
    create_provider = false
  }
  assert {
    condition     = jsondecode(aws_iam_role.this["plan"].assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"] == ["repo:acme/runners:environment:runnersmith-plan"]
    error_message = "The form without ids."
  }
}

run "another_issuer_has_its_own_keys_and_no_further_claims" {
  command = plan
  variables {
    issuer          = "https://token.actions.acme.ghe.com"
    workflow        = null
    repository_id   = 7
    owner_id        = 8
    create_provider = false
  }
  assert {
    condition     = keys(jsondecode(aws_iam_role.this["plan"].assume_role_policy).Statement[0].Condition.StringEquals) == ["token.actions.acme.ghe.com:aud", "token.actions.acme.ghe.com:sub"]
    error_message = "AWS compares further claims for github.com's issuer only."
  }
  assert {
    condition     = contains(jsondecode(aws_iam_role.this["plan"].assume_role_policy).Statement[0].Condition.StringEquals["token.actions.acme.ghe.com:sub"], "repo:acme@8/runners@7:environment:runnersmith-plan")
    error_message = "The form with ids, which ghe.com has too."
  }
}

run "refuses_owner_id_without_repository_id_and_the_other_way_round" {
  command = plan
  variables {
    repository_id = 7
  }
  expect_failures = [var.owner_id]
}

run "refuses_repository_id_that_is_no_number_of_a_repository" {
  command = plan
  variables {
    repository_id = 0
    owner_id      = 1
  }
  expect_failures = [var.repository_id]
}

run "refuses_owner_id_that_is_no_whole_number" {
  command = plan
  variables {
    repository_id = 1
    owner_id      = 1.5
  }
  expect_failures = [var.owner_id]
}
