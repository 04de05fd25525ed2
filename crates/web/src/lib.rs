//! What people see: dashboard, metrics, health, webhook endpoint.
