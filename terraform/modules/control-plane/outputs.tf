output "webhook_endpoint" {
  description = "Where GitHub delivers."
  value       = "${aws_apigatewayv2_api.webhook.api_endpoint}/webhook"
}

output "webhook_secret_parameter" {
  description = "Where the webhook's secret is kept: a parameter's name, or its ARN if that was given."
  value       = local.secrets["webhook_secret"]
}

output "plane" {
  description = "What a scale set needs to join: give it to the scale-set module as `plane`. A stack of its own finds it as JSON in the parameter <path>/plane."
  value       = local.plane
}

output "queue_url" {
  description = "The queue's address."
  value       = aws_sqs_queue.work["jobs"].url
}

output "table" {
  description = "The ledger's table."
  value       = aws_dynamodb_table.ledger.name
}

output "path" {
  description = "The path in Parameter Store."
  value       = local.path
}

output "functions" {
  description = "The functions' names."
  value       = { for name, function in module.function : name => function.name }
}

output "policies" {
  description = "What each function may do, as JSON."
  value       = { for name, function in module.function : name => function.policy }
}

output "reader_policy" {
  description = "What a reader needs, as JSON: for a policy of one's own where readers are not given."
  value       = local.reader_policy
}

output "reader_role_arn" {
  description = "The role that readers may assume; null without readers."
  value       = one(aws_iam_role.reader[*].arn)
}

output "settings" {
  description = "The control plane's settings as the functions read them, as JSON. No secrets are in it."
  value       = aws_ssm_parameter.plane.insecure_value
}

output "alarms" {
  description = "The alarms, by name, with what they notify."
  value = {
    for alarm in concat(values(aws_cloudwatch_metric_alarm.errors), values(aws_cloudwatch_metric_alarm.dead_letters), [aws_cloudwatch_metric_alarm.age]) :
    alarm.alarm_name => alarm.alarm_actions
  }
}

output "checks" {
  description = "How things are set up, for checks."
  value = {
    code               = { for name, function in module.function : name => function.settings }
    visibility_timeout = aws_sqs_queue.work["jobs"].visibility_timeout_seconds
    patterns           = { for name, rule in aws_cloudwatch_event_rule.this : name => rule.event_pattern }
    targets            = { for name, target in aws_cloudwatch_event_target.this : name => target.arn }
    queue_policy       = aws_sqs_queue.work["jobs"].policy
    queue_policies     = [for queue in concat(values(aws_sqs_queue.work), [aws_sqs_queue.dead, aws_sqs_queue.failed]) : queue.policy]
    recursive_loop     = aws_lambda_function_recursion_config.scale_up.recursive_loop
    schedules          = { for name, rule in aws_cloudwatch_event_rule.this : name => rule.schedule_expression }
  }
}
