output "webhook_endpoint" {
  description = "Where the App's webhook delivers."
  value       = module.plane.webhook_endpoint
}

output "plane" {
  description = "What a further scale set needs to join."
  value       = module.plane.plane
}
