output "arn" {
  description = "The function's ARN."
  value       = aws_lambda_function.this.arn
}

output "name" {
  description = "Its name."
  value       = aws_lambda_function.this.function_name
}

output "invoke_arn" {
  description = "The ARN by which API Gateway invokes it."
  value       = aws_lambda_function.this.invoke_arn
}

output "role_name" {
  description = "Its role's name."
  value       = aws_iam_role.this.name
}

output "policy" {
  description = "What its role may do, as JSON."
  value       = aws_iam_role_policy.this.policy
}

output "settings" {
  description = "How the function is set up, for checks."
  value = {
    file               = aws_lambda_function.this.filename
    bucket             = aws_lambda_function.this.s3_bucket
    key                = aws_lambda_function.this.s3_key
    object_version     = aws_lambda_function.this.s3_object_version
    timeout            = aws_lambda_function.this.timeout
    variables          = aws_lambda_function.this.environment[0].variables
    subnet_ids         = var.network.subnet_ids
    security_group_ids = var.network.security_group_ids
    retention          = aws_cloudwatch_log_group.this.retention_in_days
    role_path          = aws_iam_role.this.path
    boundary           = aws_iam_role.this.permissions_boundary
    tags               = aws_lambda_function.this.tags
  }
}
