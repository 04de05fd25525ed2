# Who may read what the control plane knows: `runnersmith why`, `status` and `jobs` with `--aws <environment>`. Neither a secret nor
# a change is in it. A test runs these commands under the document, and compares it, but for the key, with what they call.

locals {
  reader_statements = concat(
    local.reads_settings,
    [{
      Sid      = "OwnLedger"
      Effect   = "Allow"
      Action   = ["dynamodb:GetItem", "dynamodb:Query"]
      Resource = [aws_dynamodb_table.ledger.arn, "${aws_dynamodb_table.ledger.arn}/index/by_kind"]
    }],
    # The key is the secrets' too: it decrypts nothing but what DynamoDB asks for.
    local.has_key ? [{
      Sid       = "OwnLedgersKey"
      Effect    = "Allow"
      Action    = ["kms:Decrypt"]
      Resource  = [local.key_arn]
      Condition = { StringLike = { "kms:ViaService" = "dynamodb.${local.region}.*" } }
    }] : [],
  )
  reader_policy = jsonencode({ Version = "2012-10-17", Statement = local.reader_statements })
}

resource "aws_iam_role" "reader" {
  count                = length(var.readers) > 0 ? 1 : 0
  name                 = "${local.name}-reader"
  description          = "Reads ledger and settings of Runnersmith ${var.environment}"
  path                 = coalesce(var.role.path, "/${var.environment}/")
  permissions_boundary = var.role.permissions_boundary
  tags                 = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { AWS = var.readers }
    }]
  })
}

resource "aws_iam_role_policy" "reader" {
  count  = length(var.readers) > 0 ? 1 : 0
  name   = "reader"
  role   = aws_iam_role.reader[0].id
  policy = local.reader_policy
}
