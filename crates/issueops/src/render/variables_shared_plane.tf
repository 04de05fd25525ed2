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

variable "plane_path" {
  description = "The SSM path under which the control plane finds its scale sets."
  type        = string
  nullable    = false
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
