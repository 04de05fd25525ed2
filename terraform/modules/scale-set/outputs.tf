output "name" {
  description = "The scale set's name."
  value       = var.name
}

output "labels" {
  description = "What jobs may ask for."
  value       = distinct(var.labels)
}

output "policy" {
  description = "The registered policy, as JSON."
  value       = nonsensitive(aws_ssm_parameter.policy.value)
}

output "launch_template_id" {
  description = "The launch template."
  value       = aws_launch_template.this.id
}

output "role_arn" {
  description = "The machines' role."
  value       = aws_iam_role.this.arn
}

output "role_policy" {
  description = "What a machine may do, as JSON."
  value       = aws_iam_role_policy.this.policy
}

output "security_group_id" {
  description = "The machines' security group."
  value       = aws_security_group.this.id
}

output "user_data" {
  description = "The rendered user data."
  value       = local.user_data
}
