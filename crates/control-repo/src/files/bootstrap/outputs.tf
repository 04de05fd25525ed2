output "plan_role_arn" {
  description = "For `runnersmith init --plan-role-arn`."
  value       = module.roles.plan_role_arn
}

output "apply_role_arn" {
  description = "For `runnersmith init --apply-role-arn`."
  value       = module.roles.apply_role_arn
}
