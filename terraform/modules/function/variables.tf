variable "name" {
  description = "The function's name, at most 64 characters."
  type        = string
  nullable    = false

  validation {
    condition     = length(var.name) <= 64
    error_message = "A function's name has at most 64 characters; shorten the environment's name."
  }
}

variable "handler" {
  description = "Which function of its program this is."
  type        = string
  nullable    = false
}

variable "code" {
  description = "The zip: a file here, or an object in S3."
  type = object({
    file           = optional(string)
    bucket         = optional(string)
    key            = optional(string)
    object_version = optional(string)
  })
  nullable = false
}

variable "architecture" {
  description = "x86_64 or arm64."
  type        = string
  nullable    = false
}

variable "memory_size" {
  description = "MB. Lambda gives processor time in proportion."
  type        = number
  default     = 256
  nullable    = false
}

variable "timeout" {
  description = "Seconds."
  type        = number
  nullable    = false
}

variable "variables" {
  description = "Environment variables. Never secrets: those lie in Parameter Store."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "statements" {
  description = "What the function may do, beyond its own log."
  type        = any
  nullable    = false
}

variable "network" {
  description = "The VPC's subnets and security groups that the function is in; none: outside of any VPC."
  type = object({
    subnet_ids         = optional(list(string), [])
    security_group_ids = optional(list(string), [])
  })
  default  = {}
  nullable = false

  validation {
    condition     = (length(var.network.subnet_ids) == 0) == (length(var.network.security_group_ids) == 0)
    error_message = "Lambda takes subnets and security groups together, or neither."
  }
}

variable "dead_letter_arn" {
  description = "Queue for events that failed for good; for functions that events invoke."
  type        = string
  default     = null
}

variable "has_dead_letters" {
  description = "Whether dead_letter_arn is given; known when planning."
  type        = bool
  default     = false
  nullable    = false
}

variable "concurrency" {
  description = "At most so many at once; -1: as many as the account allows."
  type        = number
  default     = -1
  nullable    = false
}

variable "log" {
  description = "Level, days that the log is kept, and the KMS key that encrypts it."
  type = object({
    level      = optional(string, "info")
    retention  = optional(number, 180)
    kms_key_id = optional(string)
  })
  default  = {}
  nullable = false
}

variable "role" {
  description = "Path and permissions boundary of the role."
  type = object({
    path                 = optional(string)
    permissions_boundary = optional(string)
  })
  default  = {}
  nullable = false
}

variable "tags" {
  description = "Tags on everything."
  type        = map(string)
  default     = {}
  nullable    = false
}
