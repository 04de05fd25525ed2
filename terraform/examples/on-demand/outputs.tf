output "webhook_endpoint" {
  description = "Where GitHub delivers."
  value       = module.runners.webhook_endpoint
}

output "labels" {
  description = "What jobs may ask for."
  value       = module.runners.labels
}
