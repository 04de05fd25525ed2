# What each role may do. Making things in the account is not among it: those policies are given by apply_policy_arns.

locals {
  account = data.aws_caller_identity.this.account_id
  prefix  = var.key_prefix == "" ? var.state_bucket_arn : "${var.state_bucket_arn}/${var.key_prefix}"
  # Any region: an environment may be in any network of the platform policy.
  parameters = [for path in var.plane_paths : "arn:${data.aws_partition.this.partition}:ssm:*:${local.account}:parameter${path}"]
  # Parameter Store names the parameter in what it asks of a key.
  reads_by = {
    StringLike = {
      "kms:ViaService"                      = "ssm.*.amazonaws.com"
      "kms:EncryptionContext:PARAMETER_ARN" = [for path in local.parameters : "${path}/*"]
    }
  }

  # Both roles keep records of changes beside the state, and take the state's lock.
  records = concat(
    [
      {
        # Terraform asks for the names of workspaces, which lie outside of the prefix.
        Sid      = "ListState"
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = [var.state_bucket_arn]
      },
      {
        Sid      = "ReadState"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = ["${local.prefix}/*"]
      },
      {
        Sid      = "Records"
        Effect   = "Allow"
        Action   = ["s3:DeleteObject", "s3:PutObject"]
        Resource = [for kind in ["changes", "issues", "pulls"] : "${local.prefix}/${kind}/*"]
      },
      {
        Sid      = "Lock"
        Effect   = "Allow"
        Action   = ["s3:DeleteObject", "s3:PutObject"]
        Resource = ["${local.prefix}/*.tflock"]
      },
    ],
    var.state_key_arn == null ? [] : [{
      Sid      = "StateKey"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = [var.state_key_arn]
    }],
    var.lock_table_arn == null ? [] : [{
      Sid      = "LockTable"
      Effect   = "Allow"
      Action   = ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem"]
      Resource = [var.lock_table_arn]
    }],
  )

  # Refreshing reads every parameter decrypted, also those whose value is write-only: version 5.100 of the provider was seen to.
  # With AWS's own key everybody who may read a parameter may decrypt it; a key of one's own asks for this.
  refreshes = var.own_stacks ? [{
    Sid       = "RefreshSecrets"
    Effect    = "Allow"
    Action    = ["kms:Decrypt"]
    Resource  = ["arn:${data.aws_partition.this.partition}:kms:*:${local.account}:key/*"]
    Condition = local.reads_by
  }] : []

  plans = [
    {
      # An environment may be called changes: its state lies among the records.
      Sid      = "NeverTheState"
      Effect   = "Deny"
      Action   = ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObject"]
      Resource = ["${var.state_bucket_arn}/*.tfstate"]
    },
    {
      # ReadOnlyAccess reads all parameters, and nothing that is planned is among these.
      Sid      = "NeverHandOffs"
      Effect   = "Deny"
      Action   = ["ssm:GetParameter", "ssm:GetParameterHistory", "ssm:GetParameters", "ssm:GetParametersByPath"]
      Resource = flatten([for path in local.parameters : concat(["${path}/hand-off", "${path}/hand-off/*"], var.own_stacks ? [] : ["${path}/secrets", "${path}/secrets/*"])])
    },
  ]

  # What a deletion asks of a running control plane, and what it does to it, before anything is destroyed. Names and tags are those that
  # the control-plane module gives.
  drains = [
    {
      Sid      = "PlaneSettings"
      Effect   = "Allow"
      Action   = ["ssm:GetParameters", "ssm:GetParametersByPath"]
      Resource = flatten([for path in local.parameters : ["${path}/config", "${path}/config/*"]])
    },
    {
      # Names alone are read; those of machines that are gone are deleted.
      Sid      = "HandOffs"
      Effect   = "Allow"
      Action   = ["ssm:DeleteParameter", "ssm:GetParametersByPath"]
      Resource = flatten([for path in local.parameters : ["${path}/hand-off", "${path}/hand-off/*"]])
    },
    {
      Sid    = "Ledger"
      Effect = "Allow"
      Action = [
        "dynamodb:BatchWriteItem",
        "dynamodb:ConditionCheckItem",
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
      ]
      Resource = ["arn:${data.aws_partition.this.partition}:dynamodb:*:${local.account}:table/*-ledger"]
    },
    {
      # DynamoDB decrypts a table that has a key of its own in the caller's name (KMS guide, "How DynamoDB uses AWS KMS").
      Sid       = "LedgersKey"
      Effect    = "Allow"
      Action    = ["kms:Decrypt"]
      Resource  = ["arn:${data.aws_partition.this.partition}:kms:*:${local.account}:key/*"]
      Condition = { StringLike = { "kms:ViaService" = "dynamodb.*.amazonaws.com*" } }
    },
    {
      Sid      = "Wake"
      Effect   = "Allow"
      Action   = ["sqs:SendMessage"]
      Resource = ["arn:${data.aws_partition.this.partition}:sqs:*:${local.account}:*-jobs"]
    },
    {
      # EC2 has no resource for reading.
      Sid      = "SeeMachines"
      Effect   = "Allow"
      Action   = ["ec2:DescribeInstances"]
      Resource = ["*"]
    },
    {
      Sid       = "EndMachines"
      Effect    = "Allow"
      Action    = ["ec2:TerminateInstances"]
      Resource  = ["arn:${data.aws_partition.this.partition}:ec2:*:${local.account}:instance/*"]
      Condition = { StringLike = { "aws:ResourceTag/runnersmith:environment" = "?*" } }
    },
  ]

  writes_state = [{
    Sid      = "WriteState"
    Effect   = "Allow"
    Action   = ["s3:PutObject"]
    Resource = ["${local.prefix}/*.tfstate"]
  }]

  statements = {
    plan  = concat(local.records, local.refreshes, local.plans)
    apply = concat(local.records, local.refreshes, local.writes_state, local.drains)
  }
  policies = { for role, statements in local.statements : role => jsonencode({ Version = "2012-10-17", Statement = statements }) }
}

resource "aws_iam_role_policy" "state" {
  for_each = local.roles
  name     = "state"
  role     = aws_iam_role.this[each.key].id
  policy   = local.policies[each.key]
}
