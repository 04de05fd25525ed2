variable "name" {
  description = "The VPC's name."
  type        = string
  nullable    = false
}

variable "cidr_block" {
  description = "The VPC's addresses, a /16."
  type        = string
  default     = "10.0.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.cidr_block)) && endswith(var.cidr_block, "/16")
    error_message = "A /16 such as 10.0.0.0/16 is needed."
  }
}

variable "zones" {
  description = "In so many availability zones is a private subnet; spot has more capacity in more of them."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.zones >= 1 && var.zones <= 6
    error_message = "1 to 6 zones."
  }
}

variable "tags" {
  description = "Tags on everything."
  type        = map(string)
  default     = {}
  nullable    = false
}
