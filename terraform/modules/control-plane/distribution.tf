# The releases of actions/runner, so that a machine does not fetch a hundred megabytes over the internet at each start.
resource "aws_s3_bucket" "distribution" {
  #checkov:skip=CKV_AWS_145:GitHub's public release is in it; with a key, every machine would need it
  #checkov:skip=CKV_AWS_18:machines read a public release from it; who reads what is in CloudTrail if wanted
  #checkov:skip=CKV_AWS_21:the syncer fetches what is lost again
  #checkov:skip=CKV_AWS_144:the syncer fetches what is lost again
  #checkov:skip=CKV2_AWS_61:the syncer replaces one object for each architecture; nothing piles up
  #checkov:skip=CKV2_AWS_62:nobody waits for its objects
  # Bucket names are unique in the world, and have neither upper case nor underscores.
  bucket        = "${lower(replace(substr(local.name, 0, 38), "_", "-"))}-runner-${substr(sha256("${local.account}/${local.region}/${var.environment}"), 0, 12)}"
  force_destroy = true
  tags          = local.tags
}

resource "aws_s3_bucket_public_access_block" "distribution" {
  bucket                  = aws_s3_bucket.distribution.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "distribution" {
  bucket = aws_s3_bucket.distribution.id

  rule {
    # What is in it is public; AES256 spares every machine the use of a key.
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_policy" "distribution" {
  bucket = aws_s3_bucket.distribution.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.distribution.arn, "${aws_s3_bucket.distribution.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  depends_on = [aws_s3_bucket_public_access_block.distribution]
}
