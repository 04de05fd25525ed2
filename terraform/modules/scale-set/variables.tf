variable "plane" {
  description = "The control plane that serves the set: its output `plane`."
  type = object({
    environment         = string
    name                = string
    path                = string
    has_key             = bool
    key_arn             = optional(string)
    distribution_bucket = string
    distribution_prefix = string
    role_path           = optional(string)
  })
  nullable = false
}

variable "name" {
  description = "The scale set's name. Runners and machines are named after it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$", var.name))
    error_message = "A scale set's name has letters, digits, underscores and hyphens, at most 40 of them."
  }
}

variable "labels" {
  description = "All labels of its runners; a job goes here when each of its labels is among them."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.labels) > 0 && length(var.labels) <= 100 && alltrue([for label in var.labels : trimspace(label) != "" && !strcontains(label, ",")])
    error_message = "One to 100 labels are needed, none of them empty or with a comma."
  }
}

variable "scope" {
  description = "Whom it serves: level organization or repository (GitHub lets no App register an enterprise's runners); where its runners register, if that is one place; the repositories (owner/name or owner/*) that it is for."
  type = object({
    level                = optional(string, "organization")
    at                   = optional(string)
    allowed_repositories = optional(list(string), [])
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["organization", "repository"], var.scope.level)
    error_message = "The level is organization or repository. GitHub lets no App register an enterprise's runners: install the App in each organisation."
  }
}

variable "runner" {
  description = "The runners: ephemeral (one job each) or not; their group; as root; their architecture; the most at once; how many are kept idle and when; how old one must be before it is surplus; seconds that a job waits for an idle runner first (null: 0 for ephemeral runners, else 30)."
  type = object({
    ephemeral               = optional(bool, true)
    group                   = optional(string, "Default")
    as_root                 = optional(bool, false)
    architecture            = optional(string, "x64")
    maximum                 = optional(number, 3)
    minimum_running_minutes = optional(number, 5)
    delay_seconds           = optional(number)
    idle_config = optional(list(object({
      cron      = string
      timeZone  = string
      idleCount = number
    })), [])
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["x64", "arm64"], var.runner.architecture)
    error_message = "The architecture is x64 or arm64."
  }
  validation {
    condition     = var.runner.maximum >= 1 && var.runner.maximum <= 10000 && floor(var.runner.maximum) == var.runner.maximum
    error_message = "The maximum is a whole number from 1 to 10,000."
  }
  validation {
    condition     = alltrue([for one in var.runner.idle_config : can(regex("^\\s*([0-9A-Za-z*?,/#-]+\\s+){5}[0-9A-Za-z*?,/#-]+\\s*$", one.cron)) && one.idleCount >= 0])
    error_message = "Each idle_config has a cron of six fields (seconds first, without EventBridge's cron(…)) and a count that is not negative."
  }
}

variable "policy" {
  description = "Further fields of the set's policy, as in the configuration file ([[scale_set]])."
  type        = any
  default     = {}
}

variable "machine" {
  description = "The machines: types in order of preference; the image, by filter and owners, or by a parameter of Parameter Store that is read at each launch (its control plane must be given it too: image_parameters); key pair; disks (a key of one's own must be given to its control plane too: disk_key_arns); Docker; Session Manager; minutes until a machine must run its runner; the metadata service's hop limit (2 for containers that need it); a public address (null: the subnet decides); further tags."
  type = object({
    instance_types      = optional(list(string), ["m5.large"])
    capacity            = optional(string, "spot")
    allocation_strategy = optional(string, "price-capacity-optimized")
    spot_max_price      = optional(string)
    ami_filter          = optional(map(list(string)), {})
    ami_owners          = optional(list(string), ["amazon"])
    ami_parameter       = optional(string)
    key_name            = optional(string)
    block_devices       = optional(map(string), {})
    docker              = optional(bool, true)
    session_manager     = optional(bool, false)
    boot_minutes        = optional(number, 5)
    metadata_hop_limit  = optional(number, 1)
    public_address      = optional(bool)
    user                = optional(string, "ec2-user")
    managed_policy_arns = optional(list(string), [])
    image_has_runner    = optional(bool, false)
    tags                = optional(map(string), {})
  })
  default  = {}
  nullable = false

  validation {
    condition     = length(var.machine.instance_types) > 0 && alltrue([for type in var.machine.instance_types : can(regex("^[a-z0-9-]+\\.[a-z0-9-]+$", type))])
    error_message = "At least one instance type is needed, such as m5.large."
  }
  validation {
    condition     = contains(["spot", "spot-then-on-demand", "on-demand"], var.machine.capacity)
    error_message = "The capacity is spot, spot-then-on-demand or on-demand."
  }
  validation {
    condition     = contains(["price-capacity-optimized", "capacity-optimized", "lowest-price", "diversified", "prioritized"], var.machine.allocation_strategy)
    error_message = "The allocation strategy is price-capacity-optimized, capacity-optimized, lowest-price, diversified or prioritized."
  }
  validation {
    condition     = contains([1, 2], var.machine.metadata_hop_limit)
    error_message = "The metadata service's hop limit is 1, or 2 for containers."
  }
  validation {
    condition     = var.machine.ami_parameter == null || can(regex("^(arn:[a-z-]+:ssm:[a-z0-9-]+:[0-9]*:parameter/|/)?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", var.machine.ami_parameter))
    error_message = "The image's parameter is a name such as /images/runner, or the ARN of a parameter."
  }
  validation {
    condition     = can(regex("^[a-z_][a-z0-9_-]{0,31}$", var.machine.user))
    error_message = "A user's name has lower-case letters, digits, underscores and hyphens, at most 32 of them."
  }
  validation {
    condition     = var.machine.boot_minutes >= 1 && var.machine.boot_minutes <= 60 && floor(var.machine.boot_minutes) == var.machine.boot_minutes
    error_message = "A machine has 1 to 60 whole minutes until it must run its runner."
  }
}

variable "user_data" {
  description = "Snippets of bash before the runner is fetched, when it is on disk and before it starts (post_install), both within the minutes of machine.boot_minutes, and after it has ended; around each job; and a template of one's own in place of ours (its path; it gets the same variables)."
  type = object({
    template      = optional(string)
    pre_install   = optional(string, "")
    post_install  = optional(string, "")
    after_runner  = optional(string, "")
    job_started   = optional(string, "")
    job_completed = optional(string, "")
    ghes_ca       = optional(string, "")
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for text in [var.user_data.pre_install, var.user_data.post_install, var.user_data.after_runner, var.user_data.job_started, var.user_data.job_completed] : !strcontains(text, "RUNNERSMITH_SNIPPET")])
    error_message = "A snippet must not contain RUNNERSMITH_SNIPPET: that word ends it."
  }
}

variable "network" {
  description = "Where the machines are: the VPC, its subnets, further security groups."
  type = object({
    vpc_id             = string
    subnet_ids         = list(string)
    security_group_ids = optional(list(string), [])
  })
  nullable = false

  validation {
    condition     = length(var.network.subnet_ids) > 0
    error_message = "At least one subnet is needed."
  }
}

variable "log" {
  description = "The CloudWatch agent: whether it runs; its files, or a whole configuration (JSON) in their place; the days that logs are kept."
  type = object({
    agent     = optional(bool, true)
    config    = optional(string)
    retention = optional(number, 180)
    files = optional(list(object({
      log_group_name   = string
      prefix_log_group = bool
      file_path        = string
      log_stream_name  = string
    })), [])
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.log.config == null || can(jsondecode(var.log.config))
    error_message = "The agent's configuration is JSON."
  }
}

variable "role" {
  description = "Path of the role, of the instance profile, and the permissions boundary."
  type = object({
    path                 = optional(string)
    profile_path         = optional(string)
    permissions_boundary = optional(string)
  })
  default  = {}
  nullable = false
}

variable "tags" {
  description = "Tags on everything, machines and their disks included."
  type        = map(string)
  default     = {}
  nullable    = false
}
