output "plan_role_arn" {
  description = "The role of workflows that plan."
  value       = aws_iam_role.this["plan"].arn
}

output "policies" {
  description = "What each role may do by itself, as JSON, by `plan` and `apply`."
  value       = local.policies
}

output "apply_role_arn" {
  description = "The role of workflows that apply."
  value       = aws_iam_role.this["apply"].arn
}
