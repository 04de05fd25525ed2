output "webhook_endpoints" {
  description = "Where GitHub delivers, by environment."
  value       = { for name, environment in module.runners : name => environment.webhook_endpoint }
}
