output "webhook_endpoint" {
  description = "Where GitHub delivers: the webhook's address."
  value       = module.control_plane.webhook_endpoint
}

output "webhook_secret_parameter" {
  description = "Where the webhook's secret is kept."
  value       = module.control_plane.webhook_secret_parameter
}

output "labels" {
  description = "What jobs may ask for, by scale set."
  value       = { for name, set in module.scale_set : name => set.labels }
}

output "plane" {
  description = "What a further scale set needs to join this control plane."
  value       = module.control_plane.plane
}

output "functions" {
  description = "The functions' names."
  value       = module.control_plane.functions
}

output "policies" {
  description = "What each function may do, as JSON."
  value       = module.control_plane.policies
}

output "machine_policies" {
  description = "What a machine may do, as JSON, by scale set."
  value       = { for name, set in module.scale_set : name => set.role_policy }
}

output "reader_policy" {
  description = "What runnersmith why, status and jobs with --aws need, as JSON: for a policy of one's own where readers are not given."
  value       = module.control_plane.reader_policy
}

output "reader_role_arn" {
  description = "The role that readers may assume; null without readers."
  value       = module.control_plane.reader_role_arn
}

output "scale_set_policies" {
  description = "The registered policies, as JSON, by scale set."
  value       = { for name, set in module.scale_set : name => set.policy }
}

output "machine_role_arns" {
  description = "The machines' roles, by scale set, for policies of one's own."
  value       = { for name, set in module.scale_set : name => set.role_arn }
}

output "plane_settings" {
  description = "The control plane's settings as the functions read them, as JSON. No secrets are in it."
  value       = module.control_plane.settings
}

output "code" {
  description = "How the functions are set up, for checks."
  value       = module.control_plane.checks.code
}

output "alarms" {
  description = "The alarms, by name, with what they notify."
  value       = module.control_plane.alarms
}

output "visibility_timeout" {
  description = "The queue's visibility timeout in seconds."
  value       = module.control_plane.checks.visibility_timeout
}

output "schedules" {
  description = "When functions are invoked."
  value       = module.control_plane.checks.schedules
}

output "checks" {
  description = "How scale sets are set up, for checks."
  value       = { for name, set in module.scale_set : name => set.checks }
}
