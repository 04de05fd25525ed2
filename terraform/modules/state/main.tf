# Where Terraform keeps what it knows: a bucket with versions, and a lock. Kept from destruction, because without it nothing
# that was made can be changed or destroyed by Terraform any more.

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:who reads states is in CloudTrail if wanted; a log bucket is the account owner's
  #checkov:skip=CKV_AWS_144:versions are kept; a second region is the account owner's choice
  #checkov:skip=CKV2_AWS_61:old versions of a state are kept on purpose: they are small, and the way back
  #checkov:skip=CKV2_AWS_62:nobody waits for its objects
  bucket = var.bucket
  tags   = var.tags

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    bucket_key_enabled = var.kms_key_id != null

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_id == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_id
    }
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  depends_on = [aws_s3_bucket_public_access_block.this]
}

# S3's own lock file (`use_lockfile = true`) needs no table; older ways do.
resource "aws_dynamodb_table" "lock" {
  #checkov:skip=CKV_AWS_119:lock ids are in it
  count        = var.lock_table == null ? 0 : 1
  name         = var.lock_table
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "LockID"
  tags         = var.tags

  attribute {
    name = "LockID"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  lifecycle {
    prevent_destroy = true
  }
}
