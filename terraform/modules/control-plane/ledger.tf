# The definition is the programs' own; a test compares.
resource "aws_dynamodb_table" "ledger" {
  #checkov:skip=CKV_AWS_119:encrypted with the key of the user's choice, where one is given; no secret is in it
  name         = "${local.name}-ledger"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "pk"
  range_key    = "sk"
  tags         = local.tags

  attribute {
    name = "pk"
    type = "S"
  }
  attribute {
    name = "sk"
    type = "S"
  }
  attribute {
    name = "kind"
    type = "S"
  }
  attribute {
    name = "at"
    type = "N"
  }

  global_secondary_index {
    name            = "by_kind"
    hash_key        = "kind"
    range_key       = "at"
    projection_type = "ALL"
  }

  ttl {
    attribute_name = "expires"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = local.has_key
    kms_key_arn = local.key_arn
  }
}
