variable "name" {
  description = "The roles are <name>-plan and <name>-apply."
  type        = string
  default     = "runnersmith"
  nullable    = false
}

variable "repository" {
  description = "The control repository, owner/name in GitHub's own spelling: AWS compares with case."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$", var.repository))
    error_message = "owner/name."
  }
}

variable "repository_id" {
  description = "The repository's number (gh api repos/<owner>/<name> --jq .id). Repositories made, renamed or transferred after 15 July 2026 have it in their tokens' subject, and are refused without it; null: only the form without numbers is trusted."
  type        = number
  default     = null

  validation {
    condition     = var.repository_id == null ? true : var.repository_id > 0 && floor(var.repository_id) == var.repository_id
    error_message = "A whole number above 0."
  }
}

variable "owner_id" {
  description = "Its owner's number (gh api repos/<owner>/<name> --jq .owner.id); given together with repository_id."
  type        = number
  default     = null

  validation {
    condition     = var.owner_id == null ? true : var.owner_id > 0 && floor(var.owner_id) == var.owner_id
    error_message = "A whole number above 0."
  }
  validation {
    condition     = (var.owner_id == null) == (var.repository_id == null)
    error_message = "repository_id and owner_id are given together, or neither."
  }
}

variable "workflow" {
  description = "The workflow file that may take the roles. AWS compares it for github.com's issuer; null where it cannot (ghe.com, a GitHub Enterprise Server)."
  type        = string
  default     = ".github/workflows/runnersmith.yml"
}

variable "default_branch" {
  description = "Only the workflow file of this branch counts."
  type        = string
  default     = "main"
  nullable    = false
}

variable "plan_environment" {
  description = "GitHub's environment of jobs that plan."
  type        = string
  default     = "runnersmith-plan"
  nullable    = false
}

variable "apply_environment" {
  description = "GitHub's environment of jobs that apply; let only the default branch use it."
  type        = string
  default     = "runnersmith-apply"
  nullable    = false
}

variable "plan_policy_arns" {
  description = "Policies of the plan role beside ReadOnlyAccess, for what that one does not let it read."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "apply_policy_arns" {
  description = "Policies of the apply role: what may be made in the account. It has none by itself but for the state."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "state_bucket_arn" {
  description = "The bucket of the state."
  type        = string
  nullable    = false
}

variable "key_prefix" {
  description = "What the keys of states and records begin with: backend.key_prefix of the platform policy, whose default is its folder. Empty: the bucket is for nothing else."
  type        = string
  default     = "actions-runner-envs"
  nullable    = false

  validation {
    condition     = can(regex("^([A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*)?$", var.key_prefix))
    error_message = "Words of letters, digits, '_', '.' and '-', with slashes between and none at the ends."
  }
}

variable "state_key_arn" {
  description = "The KMS key of the bucket, or of backend.kms_key_id; null: S3's own key."
  type        = string
  default     = null
}

variable "plane_paths" {
  description = "The paths in Parameter Store of control planes whose environments are changed: a shared control plane's, or all that environments of their own make."
  type        = list(string)
  default     = ["/runnersmith/*"]
  nullable    = false

  validation {
    condition     = length(var.plane_paths) > 0 && alltrue([for path in var.plane_paths : can(regex("^(/[A-Za-z0-9_.*-]+)+$", path))])
    error_message = "Paths such as /runnersmith/shared, at least one."
  }
}

variable "own_stacks" {
  description = "Whether environments have control planes of their own. Terraform then refreshes their secrets, and refreshing decrypts: both roles can read them. With a shared control plane neither needs to, and the one that plans is refused."
  type        = bool
  default     = true
  nullable    = false
}

variable "lock_table_arn" {
  description = "The lock table, if there is one."
  type        = string
  default     = null
}

variable "issuer" {
  description = "Who makes the tokens: ghe.com's is https://token.actions.<subdomain>.ghe.com, a GitHub Enterprise Server's https://<host>/_services/token."
  type        = string
  default     = "https://token.actions.githubusercontent.com"
  nullable    = false
}

variable "create_provider" {
  description = "Whether the account's OIDC provider is made; there is one for each issuer in an account."
  type        = bool
  default     = true
  nullable    = false
}

variable "role_path" {
  description = "The roles' path."
  type        = string
  default     = "/"
  nullable    = false
}

variable "role_permissions_boundary" {
  description = "The roles' permissions boundary."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags on everything."
  type        = map(string)
  default     = {}
  nullable    = false
}
