locals {
  queues = { for kind in ["jobs", "lookups", "dead", "failed"] : kind => "arn:${local.partition}:sqs:${local.region}:${local.account}:${local.name}-${kind}" }
  # Inline: a policy of its own would be another thing to wait for. Ours alone of all rules may send what EC2 reports; their ARNs are
  # written out, because the rules' targets are these queues.
  queue_policies = { for kind, arn in local.queues : kind => jsonencode({
    Version = "2012-10-17"
    Statement = concat([{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }], [for statement in [{
        Sid       = "OwnRules"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = arn
        Condition = { ArnEquals = { "aws:SourceArn" = [for rule in local.queued : "arn:${local.partition}:events:${local.region}:${local.account}:rule/${local.name}-${rule}"] } }
    }] : statement if kind == "jobs"])
  }) }
}

resource "aws_sqs_queue" "dead" {
  name                      = "${local.name}-dead"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  policy                    = local.queue_policies["dead"]
  tags                      = local.tags
}

# Deliveries and wakes, and apart from them the questions that GitHub is asked: those take seconds to minutes, and no job waits for them.
resource "aws_sqs_queue" "work" {
  for_each = toset(["jobs", "lookups"])

  name = "${local.name}-${each.key}"
  # AWS's advice: six times what the function may take, so that a message is not given out twice at once.
  visibility_timeout_seconds = 6 * var.timeouts.scale_up
  message_retention_seconds  = 1209600
  sqs_managed_sse_enabled    = true
  policy                     = local.queue_policies[each.key]
  tags                       = local.tags

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead.arn
    # The function brings a failed message's retry forward (a second, then up to a quarter of an hour): fifty tries outlast seven hours.
    maxReceiveCount = 50
  })
}

moved {
  from = aws_sqs_queue.jobs
  to   = aws_sqs_queue.work["jobs"]
}
