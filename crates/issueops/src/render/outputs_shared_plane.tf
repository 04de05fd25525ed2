# Written by Runnersmith; fixed text. The values are in terraform.tfvars.json.

output "scale_set_parameter" {
  description = "The SSM parameter by which the control plane finds this scale set."
  value       = module.runners.policy_parameter
}
