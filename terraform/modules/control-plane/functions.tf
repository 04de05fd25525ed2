locals {
  functions = {
    webhook     = { code = "webhook", handler = "webhook", memory_size = 256, timeout = var.timeouts.webhook }
    scale-up    = { code = "runners", handler = "scale-up", memory_size = 512, timeout = var.timeouts.scale_up }
    scale-down  = { code = "runners", handler = "scale-down", memory_size = 512, timeout = var.timeouts.scale_down }
    housekeeper = { code = "runners", handler = "housekeeper", memory_size = 256, timeout = 300 }
    # It takes a hundred megabytes and more in and sends them on, checked: with 256 MB it had a seventh of a processor for that.
    syncer = { code = "syncer", handler = "syncer", memory_size = 1024, timeout = var.timeouts.syncer }
  }

  # Events that a schedule or a rule sends, and that failed three times, are kept.
  by_events = ["scale-down", "housekeeper", "syncer"]

  variables = {
    for name in keys(local.functions) : name => name == "syncer" ? {
      RUNNERSMITH_BUCKET        = aws_s3_bucket.distribution.id
      RUNNERSMITH_PREFIX        = "actions-runner/"
      RUNNERSMITH_ARCHITECTURES = join(",", var.distribution.architectures)
      RUNNERSMITH_PRERELEASE    = tostring(var.distribution.prerelease)
    } : { RUNNERSMITH_PATH = local.path, RUNNERSMITH_METRICS = tostring(var.custom_metrics) }
  }
}

resource "aws_sqs_queue" "failed" {
  name                      = "${local.name}-failed"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  policy                    = local.queue_policies["failed"]
  tags                      = local.tags
}

module "function" {
  source   = "../function"
  for_each = local.functions

  name             = "${local.name}-${each.key}"
  handler          = each.value.handler
  code             = merge({ bucket = var.code.bucket }, var.code[each.value.code])
  architecture     = var.architecture
  memory_size      = each.value.memory_size
  timeout          = each.value.timeout
  variables        = local.variables[each.key]
  statements       = local.statements[each.key]
  network          = var.network
  has_dead_letters = contains(local.by_events, each.key)
  dead_letter_arn  = aws_sqs_queue.failed.arn
  log              = var.log
  role             = merge(var.role, { path = coalesce(var.role.path, "/${var.environment}/") })
  tags             = local.tags
}

# --- the webhook

resource "aws_apigatewayv2_api" "webhook" {
  name          = "${local.name}-webhook"
  description   = "Where GitHub delivers"
  protocol_type = "HTTP"
  tags          = local.tags
}

resource "aws_apigatewayv2_integration" "webhook" {
  api_id                 = aws_apigatewayv2_api.webhook.id
  integration_type       = "AWS_PROXY"
  integration_method     = "POST"
  integration_uri        = module.function["webhook"].invoke_arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_route" "webhook" {
  #checkov:skip=CKV_AWS_309:GitHub cannot sign as IAM does; the function checks its HMAC before anything else
  api_id    = aws_apigatewayv2_api.webhook.id
  route_key = "POST /webhook"
  target    = "integrations/${aws_apigatewayv2_integration.webhook.id}"
}

resource "aws_apigatewayv2_stage" "default" {
  #checkov:skip=CKV_AWS_76:the function logs each delivery with its id, and GitHub keeps a log of its own
  api_id      = aws_apigatewayv2_api.webhook.id
  name        = "$default"
  auto_deploy = true
  tags        = local.tags

  # GitHub delivers bursts; a flood of unsigned requests must not use up the account's Lambda concurrency.
  default_route_settings {
    throttling_burst_limit = 500
    throttling_rate_limit  = 200
  }
}

resource "aws_lambda_permission" "webhook" {
  statement_id  = "api"
  action        = "lambda:InvokeFunction"
  function_name = module.function["webhook"].name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.webhook.execution_arn}/*/*/webhook"
}

# --- what invokes the others

resource "aws_lambda_event_source_mapping" "work" {
  for_each = { jobs = 10, lookups = 4 }

  event_source_arn                   = aws_sqs_queue.work[each.key].arn
  function_name                      = module.function["scale-up"].arn
  batch_size                         = each.value
  maximum_batching_window_in_seconds = 0
  function_response_types            = ["ReportBatchItemFailures"]
  tags                               = local.tags

  # A set is worked on by one function at a time; two let one wait for GitHub while the other works for another set.
  scaling_config {
    maximum_concurrency = 2
  }
}

# The function wakes itself: a pass that has to look again later leaves a message to its own queue. After sixteen of them in a row
# Lambda takes that for a loop, by the trace that SQS carries along, and stops invoking it (Lambda guide, "Recursive loop detection").
# What bounds it here: a message is one pass, and leaves one message for the set at most.
resource "aws_lambda_function_recursion_config" "scale_up" {
  function_name  = module.function["scale-up"].name
  recursive_loop = "Allow"
}

moved {
  from = aws_lambda_event_source_mapping.jobs
  to   = aws_lambda_event_source_mapping.work["jobs"]
}

locals {
  rules = {
    scale-down  = { function = "scale-down", schedule = var.schedules.scale_down, pattern = null }
    housekeeper = { function = "housekeeper", schedule = var.schedules.housekeeper, pattern = null }
    syncer      = { function = "syncer", schedule = var.schedules.syncer, pattern = null }
    # EC2 reports every machine of the account, by the queue: of a hundred at once ten are one invocation.
    warning = { function = null, schedule = null, pattern = jsonencode({
      source      = ["aws.ec2"]
      detail-type = ["EC2 Spot Instance Interruption Warning"]
    }) }
    # Of machines that begin nothing here has to know: a launch is known from its own answer.
    interruption = { function = null, schedule = null, pattern = jsonencode({
      source      = ["aws.ec2"]
      detail-type = ["EC2 Instance State-change Notification"]
      detail      = { state = ["shutting-down", "stopping", "terminated"] }
    }) }
  }
  # Those that put their events into the queue; its policy lets them.
  queued = [for name, rule in local.rules : name if rule.function == null]
}

resource "aws_cloudwatch_event_rule" "this" {
  for_each            = local.rules
  name                = "${local.name}-${each.key}"
  description         = each.value.function == null ? "Puts what EC2 reports of machines into the queue" : "Invokes ${each.value.function}"
  schedule_expression = each.value.schedule
  event_pattern       = each.value.pattern
  tags                = local.tags
}

resource "aws_cloudwatch_event_target" "this" {
  for_each = local.rules
  rule     = aws_cloudwatch_event_rule.this[each.key].name
  # Of what was a function before is the queue now: another name would take the target away until the new one is made.
  target_id = "function"
  arn       = each.value.function == null ? aws_sqs_queue.work["jobs"].arn : module.function[each.value.function].arn

  # The function that reads such events has to be there before they come: an older one takes them for broken.
  depends_on = [module.function]
}

resource "aws_lambda_permission" "rule" {
  for_each      = { for name, rule in local.rules : name => rule if rule.function != null }
  statement_id  = "rule"
  action        = "lambda:InvokeFunction"
  function_name = module.function[each.value.function].name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.this[each.key].arn
}

# --- alarms see failures, each for a tenth of a dollar a month

# What a schedule invokes is tried three times, and then a message in `failed`, which has an alarm of its own.
resource "aws_cloudwatch_metric_alarm" "errors" {
  for_each            = { for name, function in local.functions : name => function if !contains(local.by_events, name) }
  alarm_name          = "${local.name}-${each.key}-errors"
  alarm_description   = "The function ${each.key} fails: `aws logs tail /aws/lambda/${local.name}-${each.key}`"
  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = module.function[each.key].name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 2
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
  tags                = local.tags
}

# A pass that fails is a message that comes again, and no error of the function: this sees that nothing goes on. A message that is to be
# taken later is a quarter of an hour old at the most.
resource "aws_cloudwatch_metric_alarm" "age" {
  alarm_name          = "${local.name}-jobs-wait"
  alarm_description   = "Messages wait in ${aws_sqs_queue.work["jobs"].name} for half an hour: scale-up takes none, or cannot work them through"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = aws_sqs_queue.work["jobs"].name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 1800
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  for_each            = { dead = aws_sqs_queue.dead.name, failed = aws_sqs_queue.failed.name }
  alarm_name          = "${local.name}-${each.key}-letters"
  alarm_description   = "Messages that could not be worked through are in ${each.value}"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = each.value }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
  tags                = local.tags
}
