variable "environment" {
  description = "The control plane's name. Everything in it is named after it, and it owns the path /runnersmith/<environment> of Parameter Store."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{0,61}$", var.environment))
    error_message = "An environment's name has letters, digits, underscores and hyphens, at most 62 of them."
  }
  validation {
    condition     = !startswith(var.environment, "sg-")
    error_message = "An environment's name does not begin with sg-: its machines' security group is named after it, and EC2 keeps such names for ids."
  }
}

variable "github" {
  description = "The App's id or client id; the server's address, unless it is github.com; the address of the webhook (orgs/<org>/hooks/<id> or repos/<owner>/<repo>/hooks/<id>) when it is not the App's own; a parameter with a server's certificate authorities."
  type = object({
    app_id       = string
    server_url   = optional(string)
    webhook      = optional(string)
    ca_parameter = optional(string)
  })
  nullable = false
}

variable "secrets" {
  description = "The App's private key (PEM or base64) and the webhook's secret. Written to Parameter Store by write-only arguments; they are in no state. Not needed where secret_parameters names one."
  type = object({
    private_key    = optional(string)
    webhook_secret = optional(string)
  })
  default   = {}
  nullable  = false
  sensitive = true

  validation {
    condition     = (var.secrets.private_key == null) != (var.secret_parameters.private_key == null)
    error_message = "The private key is needed once: itself in secrets, or the parameter that holds it in secret_parameters."
  }
  validation {
    condition     = (var.secrets.webhook_secret == null) != (var.secret_parameters.webhook_secret == null)
    error_message = "The webhook's secret is needed once: itself in secrets, or the parameter that holds it in secret_parameters."
  }
}

variable "secret_parameters" {
  description = "Parameters of Parameter Store that hold the App's private key (PEM or base64) and the webhook's secret already, in place of secrets: their names, and their ARNs if they are another account's. A key of one's own that encrypts them must be the one of encryption."
  type = object({
    private_key    = optional(object({ name = string, arn = optional(string) }))
    webhook_secret = optional(object({ name = string, arn = optional(string) }))
  })
  default  = {}
  nullable = false
}

variable "image_parameters" {
  description = "Parameters (names or ARNs) that hold images of scale sets (machine.ami_parameter): who launches must be allowed to read them."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "secrets_version" {
  description = "Raise it by one when a secret changes: Terraform does not see that by itself."
  type        = number
  default     = 1
  nullable    = false
}

variable "encryption" {
  description = "Whether secrets are encrypted; by which key (ARN or id); whether a key is made when none is given."
  type = object({
    enabled    = optional(bool, true)
    kms_key_id = optional(string)
    manage_key = optional(bool, true)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.encryption.kms_key_id == null || can(regex("^(arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|mrk-[0-9a-f]+)$", var.encryption.kms_key_id))
    error_message = "A key is given by its ARN (arn:aws:kms:…:key/…) or its id; policies do not know aliases."
  }
}

variable "code" {
  description = "The zips of the three programs: files, or objects of one bucket."
  type = object({
    bucket  = optional(string)
    webhook = optional(object({ file = optional(string), key = optional(string), object_version = optional(string) }), {})
    runners = optional(object({ file = optional(string), key = optional(string), object_version = optional(string) }), {})
    syncer  = optional(object({ file = optional(string), key = optional(string), object_version = optional(string) }), {})
  })
  nullable = false
}

variable "architecture" {
  description = "The functions' architecture, that of the zips: x86_64 or arm64."
  type        = string
  default     = "x86_64"
  nullable    = false

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "x86_64 or arm64."
  }
}

variable "timeouts" {
  description = "Seconds that each function may take."
  type = object({
    webhook    = optional(number, 10)
    scale_up   = optional(number, 180)
    scale_down = optional(number, 60)
    syncer     = optional(number, 300)
  })
  default  = {}
  nullable = false
}

variable "schedules" {
  description = "EventBridge expressions: the pass over all sets, the syncer (a look costs one call while nothing is new, and the first fills the bucket), the housekeeper."
  type = object({
    scale_down  = optional(string, "cron(*/5 * * * ? *)")
    syncer      = optional(string, "rate(10 minutes)")
    housekeeper = optional(string, "rate(1 hour)")
  })
  default  = {}
  nullable = false
}

variable "distribution" {
  description = "Which releases of actions/runner are kept in the bucket."
  type = object({
    architectures = optional(list(string), ["x64"])
    prerelease    = optional(bool, false)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for one in var.distribution.architectures : contains(["x64", "arm64"], one)])
    error_message = "x64 and arm64 are there."
  }
}

variable "limits" {
  description = "What the App may use of GitHub's API in a minute, for all functions together."
  type = object({
    jit_per_minute   = optional(number)
    calls_per_minute = optional(number)
  })
  default  = {}
  nullable = false
}

variable "network" {
  description = "Subnets and security groups of the functions; none: they are in no VPC."
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

variable "log" {
  description = "The functions' log level, and the days that their logs are kept."
  type = object({
    level     = optional(string, "info")
    retention = optional(number, 180)
  })
  default  = {}
  nullable = false
}

variable "alarm_topic_arns" {
  description = "SNS topics that are notified when an alarm begins, and when it is over."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for topic in var.alarm_topic_arns : can(regex("^arn:[a-z-]+:sns:", topic))])
    error_message = "An alarm's topic is the ARN of an SNS topic."
  }
}

variable "custom_metrics" {
  description = "Whether demand, supply, machines and faults of each scale set are metrics of CloudWatch; false: they are in the functions' logs alone. CloudWatch asks some 0.30 dollars a month for each metric: six for each scale set, and one for each kind of fault that was seen."
  type        = bool
  default     = false
  nullable    = false
}

variable "disk_key_arns" {
  description = "KMS keys of one's own that encrypt the machines' disks or images: EC2 asks the functions that launch for the right to use them."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for key in var.disk_key_arns : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", key))])
    error_message = "A disk's key is the ARN of a KMS key (arn:aws:kms:…:key/…); policies do not know aliases."
  }
}

variable "readers" {
  description = "ARNs of roles, users or accounts (arn:aws:iam::<account>:root) that may assume a role that reads ledger and settings, for runnersmith why, status and jobs with --aws; none: no such role, only its policy as an output."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for reader in var.readers : can(regex("^arn:[a-z-]+:(iam|sts)::[0-9]{12}:[^*]+$", reader))])
    error_message = "A reader is the ARN of a role, a user or an account, without wildcards."
  }
}

variable "role" {
  description = "Path and permissions boundary of all roles."
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
