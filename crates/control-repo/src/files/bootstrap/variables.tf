variable "create_provider" {
  description = "Whether the account's OIDC provider for GitHub is made; an account has one, so false where it is there."
  type        = bool
  default     = true
  nullable    = false
}

variable "apply_policy_arns" {
  description = "What the role that applies may do: policies that let it make the module's functions, roles, queues and machines."
  type        = list(string)
  nullable    = false
}

variable "plan_policy_arns" {
  description = "What the role that plans may read beside ReadOnlyAccess."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "state_key_arn" {
  description = "The KMS key of states and records, if the policy names one."
  type        = string
  default     = null
}

variable "role_permissions_boundary" {
  description = "A permissions boundary of both roles."
  type        = string
  default     = null
}
