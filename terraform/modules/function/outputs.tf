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
