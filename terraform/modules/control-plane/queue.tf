locals {
  queues = { for kind in ["jobs", "dead"] : kind => "arn:${local.partition}:sqs:${local.region}:${local.account}:${local.name}-${kind}" }
  # Inline: a policy of its own would be another thing to wait for.
  tls_only = { for kind, arn in local.queues : kind => jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  }) }
}

resource "aws_sqs_queue" "dead" {
  name                      = "${local.name}-dead"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  policy                    = local.tls_only["dead"]
  tags                      = local.tags
}

resource "aws_sqs_queue" "jobs" {
  name = "${local.name}-jobs"
  # AWS's advice: six times what the function may take, so that a message is not given out twice at once.
  visibility_timeout_seconds = 6 * var.timeouts.scale_up
  message_retention_seconds  = 1209600
  sqs_managed_sse_enabled    = true
  policy                     = local.tls_only["jobs"]
  tags                       = local.tags

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead.arn
    # The function brings a failed message's retry forward (a second, then up to a quarter of an hour): fifty tries outlast seven hours.
    maxReceiveCount = 50
  })
}
