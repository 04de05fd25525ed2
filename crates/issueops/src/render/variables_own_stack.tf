# Written by Runnersmith; fixed text. The values are in terraform.tfvars.json.

variable "ami_filter" {
  description = "Filters that select the image."
  type        = map(list(string))
  nullable    = false
}

variable "ami_owners" {
  description = "Owners of the image."
  type        = list(string)
  nullable    = false
}

variable "aws_region" {
  description = "The region."
  type        = string
  nullable    = false
}

variable "enable_organization_runners" {
  description = "Whether runners register with the organisation."
  type        = bool
  nullable    = false
}

variable "environment" {
  description = "The environment's name."
  type        = string
  nullable    = false
}

variable "ghes_ca" {
  description = "The authority that signed the server's certificate, PEM; null: a known one."
  type        = string
  default     = null
}

variable "ghes_url" {
  description = "GitHub Enterprise Server's address; null: github.com."
  type        = string
  default     = null
}

variable "github_app" {
  description = "The GitHub App, from the environment (TF_VAR_github_app); it is written nowhere."
  type = object({
    key_base64     = string
    id             = string
    client_id      = optional(string)
    client_secret  = optional(string)
    webhook_secret = optional(string)
  })
  nullable  = false
  sensitive = true
}

variable "idle_config" {
  description = "When idle runners are kept, and how many."
  type = list(object({
    cron      = string
    timeZone  = string
    idleCount = number
  }))
  nullable = false
}

variable "instance_type" {
  description = "The machine's type."
  type        = string
  nullable    = false
}

variable "organization" {
  description = "The organisation that the runners are for."
  type        = string
  nullable    = false
}

variable "runner_binaries_syncer_lambda_zip" {
  description = "The syncer's package; null: the release's."
  type        = string
  default     = null
}

variable "runner_extra_labels" {
  description = "Labels beside self-hosted, with commas between them."
  type        = string
  nullable    = false
}

variable "runner_group_name" {
  description = "The runner group."
  type        = string
  nullable    = false
}

variable "runners_lambda_zip" {
  description = "The package for scaling; null: the release's."
  type        = string
  default     = null
}

variable "runners_maximum_count" {
  description = "The most runners."
  type        = number
  nullable    = false
}

variable "subnet_ids" {
  description = "Subnets of the machines."
  type        = list(string)
  nullable    = false
}

variable "vpc_id" {
  description = "The VPC of the machines."
  type        = string
  nullable    = false
}

variable "webhook_lambda_zip" {
  description = "The webhook's package; null: the release's."
  type        = string
  default     = null
}
