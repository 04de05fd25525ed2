# Written by Runnersmith; fixed text. The values are in terraform.tfvars.json.

output "webhook_endpoint" {
  description = "Where GitHub sends its webhooks."
  value       = module.runners.webhook_endpoint
}

output "webhook_secret_parameter" {
  description = "The SSM parameter that holds the webhook's secret; never the secret."
  value       = module.runners.webhook_secret_parameter
}
