# The inputs of philips-labs/github-runner 0.x, same names, same defaults; what is new stands at the end.

variable "aws_region" {
  description = "AWS region. It must be the provider's."
  type        = string
  nullable    = false
}

variable "environment" {
  description = "The name of the environment: of its resources, its path in Parameter Store, its scale set and a tag."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$", var.environment))
    error_message = "An environment's name has letters, digits, underscores and hyphens, at most 40 of them."
  }
  validation {
    condition     = !startswith(var.environment, "sg-")
    error_message = "An environment's name does not begin with sg-: its machines' security group is named after it, and EC2 keeps such names for ids."
  }
}

variable "vpc_id" {
  description = "The VPC of the machines."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "Subnets of the machines, in the VPC; private ones with a way out are advised."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "At least one subnet is needed."
  }
}

variable "github_app" {
  description = "The GitHub App: its private key in base64 (PEM is taken too), its id (or client id), the webhook's secret; or, of each of the three, the parameter of Parameter Store that holds it already (…_ssm: its name, and its ARN if it is another account's or made in the same apply). Client id and secret are accepted and not needed. Key and secret are written to Parameter Store by write-only arguments and are in no state."
  type = object({
    key_base64         = optional(string)
    key_base64_ssm     = optional(object({ name = string, arn = optional(string) }))
    id                 = optional(string)
    id_ssm             = optional(object({ name = string, arn = optional(string) }))
    client_id          = optional(string)
    client_secret      = optional(string)
    webhook_secret     = optional(string)
    webhook_secret_ssm = optional(object({ name = string, arn = optional(string) }))
  })
  nullable  = false
  sensitive = true

  validation {
    condition     = var.github_app.id_ssm != null || can(regex("^([0-9]+|Iv[0-9A-Za-z.]+)$", var.github_app.id))
    error_message = "The App's id is a number, or its client id (Iv…); or id_ssm names the parameter that holds it."
  }
  validation {
    condition     = var.github_app.webhook_secret_ssm != null || try(length(var.github_app.webhook_secret) >= 8, false)
    error_message = "A webhook secret has at least 8 characters; 32 random ones are advised. Or webhook_secret_ssm names the parameter that holds it."
  }
  validation {
    condition     = var.github_app.key_base64_ssm != null || try(startswith(var.github_app.key_base64, "-----BEGIN") || can(base64decode(var.github_app.key_base64)), false)
    error_message = "The App's private key is needed as PEM or in base64, or key_base64_ssm names the parameter that holds it."
  }
}

variable "enable_organization_runners" {
  description = "Runners of the organisation; false: of single repositories."
  type        = bool
  nullable    = false
}

variable "ami_filter" {
  description = "Filters for the image; none: the newest Amazon Linux 2023 for the architecture that AWS names (ami-amazon-linux-latest in Parameter Store)."
  type        = map(list(string))
  default     = {}
  nullable    = false
}

variable "ami_owners" {
  description = "Owners of the image."
  type        = list(string)
  default     = ["amazon"]
  nullable    = false

  validation {
    condition     = length(var.ami_owners) > 0
    error_message = "At least one owner is needed: without one, anybody's image could be taken."
  }
}

variable "block_device_mappings" {
  description = "The root disk: device_name (none: the image's own where a filter finds it, else /dev/xvda; an Ubuntu image by its parameter has /dev/sda1), volume_size, volume_type, iops, throughput, delete_on_termination, encrypted, kms_key_id (EC2's service-linked role for spot needs a grant on that key), snapshot_id."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key in keys(var.block_device_mappings) : contains(["device_name", "volume_size", "volume_type", "iops", "throughput", "delete_on_termination", "encrypted", "kms_key_id", "snapshot_id"], key)])
    error_message = "Known are device_name, volume_size, volume_type, iops, throughput, delete_on_termination, encrypted, kms_key_id and snapshot_id."
  }
  validation {
    condition     = lookup(var.block_device_mappings, "kms_key_id", null) == null ? true : can(regex("^(|arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+)$", var.block_device_mappings.kms_key_id))
    error_message = "A disk's key is the ARN of a KMS key (arn:aws:kms:…:key/…): policies do not know ids and aliases."
  }
}

variable "cloudwatch_config" {
  description = "A configuration of the CloudWatch agent (JSON) in place of runner_log_files. Its log groups are <environment>/runners and what runner_log_files names; other groups need a policy of one's own (runner_iam_role_managed_policy_arns)."
  type        = string
  default     = null

  validation {
    condition     = var.cloudwatch_config == null || can(jsondecode(var.cloudwatch_config))
    error_message = "The agent's configuration is JSON."
  }
}

variable "create_service_linked_role_spot" {
  description = "Make AWS's service-linked role for spot. There is one in an account: true in the first environment of an account that has none yet, and nowhere else."
  type        = bool
  default     = false
  nullable    = false
}

variable "enable_cloudwatch_agent" {
  description = "Whether the CloudWatch agent sends the machines' logs."
  type        = bool
  default     = true
  nullable    = false
}

variable "enable_ssm_on_runners" {
  description = "Whether people can open a Session Manager shell on machines."
  type        = bool
  default     = false
  nullable    = false
}

variable "encrypt_secrets" {
  description = "Whether secrets and hand-offs are encrypted (SecureString)."
  type        = bool
  default     = true
  nullable    = false
}

variable "ghes_url" {
  description = "The address of a GitHub Enterprise Server or of ghe.com; null: github.com."
  type        = string
  default     = null

  validation {
    condition     = var.ghes_url == null || can(regex("^https://[^/\\s]+/?$", var.ghes_url))
    error_message = "An address such as https://github.example.com is needed, without a path."
  }
}

variable "idle_config" {
  description = "How many runners are kept idle, and when: cron of six fields (seconds first), time zone, count. The first that matches counts. Without register_at it spares idle runners and launches none."
  type = list(object({
    cron      = string
    timeZone  = string
    idleCount = number
  }))
  default  = []
  nullable = false

  validation {
    condition     = alltrue([for one in var.idle_config : can(regex("^\\s*([0-9A-Za-z*?,/#-]+\\s+){5}[0-9A-Za-z*?,/#-]+\\s*$", one.cron)) && one.idleCount >= 0])
    error_message = "Each entry has a cron of six fields (seconds first, without EventBridge's cron(…)) and a count that is not negative."
  }
}

variable "instance_profile_path" {
  description = "The path of the machines' instance profile; null: /<environment>/."
  type        = string
  default     = null
}

variable "instance_type" {
  description = "The machines' type; instance_types names several."
  type        = string
  default     = "m5.large"
  nullable    = false
}

variable "key_name" {
  description = "A key pair for the machines."
  type        = string
  default     = null
}

variable "kms_key_id" {
  description = "The KMS key (ARN or id) for secrets and hand-offs; null: see manage_kms_key."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_id == null || can(regex("^(arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|mrk-[0-9a-f]+)$", var.kms_key_id))
    error_message = "A key is given by its ARN (arn:aws:kms:…:key/…) or its id; policies do not know aliases."
  }
}

variable "lambda_s3_bucket" {
  description = "The bucket of the zips, with the three keys; null: files."
  type        = string
  default     = null
}

variable "lambda_security_group_ids" {
  description = "Security groups of the functions in the VPC; needed with lambda_subnet_ids."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = (length(var.lambda_security_group_ids) == 0) == (length(var.lambda_subnet_ids) == 0)
    error_message = "Lambda takes lambda_subnet_ids and lambda_security_group_ids together, or neither."
  }
}

variable "lambda_subnet_ids" {
  description = "Subnets of the functions; none: they are in no VPC."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "logging_retention_in_days" {
  description = "Days that logs are kept; 0: forever."
  type        = number
  default     = 180
  nullable    = false

  validation {
    condition     = contains([0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.logging_retention_in_days)
    error_message = "CloudWatch keeps logs for 0 (forever), 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days."
  }
}

variable "manage_kms_key" {
  description = "Whether a KMS key is made when kms_key_id is null; false: AWS's key for Parameter Store."
  type        = bool
  default     = true
  nullable    = false
}

variable "minimum_running_time_in_minutes" {
  description = "An idle runner younger than this is never removed."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.minimum_running_time_in_minutes >= 0 && var.minimum_running_time_in_minutes <= 1440
    error_message = "0 to 1440 minutes."
  }
}

variable "role_path" {
  description = "The path of all roles; null: /<environment>/."
  type        = string
  default     = null

  validation {
    condition     = var.role_path == null || can(regex("^/([!-~]+/)?$", var.role_path))
    error_message = "A path begins and ends with a slash."
  }
}

variable "role_permissions_boundary" {
  description = "The ARN of the permissions boundary of all roles."
  type        = string
  default     = null
}

variable "runner_additional_security_group_ids" {
  description = "Further security groups of the machines."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "runner_allow_prerelease_binaries" {
  description = "Whether prereleases of actions/runner are taken."
  type        = bool
  default     = false
  nullable    = false
}

variable "runner_as_root" {
  description = "Whether the runner is root on its machine."
  type        = bool
  default     = false
  nullable    = false
}

variable "runner_binaries_syncer_lambda_timeout" {
  description = "Seconds that the syncer may take."
  type        = number
  default     = 300
  nullable    = false
}

variable "runner_binaries_syncer_lambda_zip" {
  description = "The syncer's zip; null: functions/<architecture>/runner-binaries-syncer.zip of this module."
  type        = string
  default     = null
}

variable "runner_extra_labels" {
  description = "Further labels, joined by commas; self-hosted, linux and the architecture are always there."
  type        = string
  default     = ""
  nullable    = false
}

variable "runner_group_name" {
  description = "The runner group, for runners of an organisation."
  type        = string
  default     = "Default"
  nullable    = false
}

variable "runner_iam_role_managed_policy_arns" {
  description = "Managed policies for the machines' role. Every job can use them."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "runner_log_files" {
  description = "Files that the CloudWatch agent sends. With prefix_log_group the group is <environment>/runners and the stream <log_group_name>/<log_stream_name>."
  type = list(object({
    log_group_name   = string
    prefix_log_group = bool
    file_path        = string
    log_stream_name  = string
  }))
  default = [
    {
      file_path        = "/var/log/messages"
      log_group_name   = "messages"
      log_stream_name  = "{instance_id}"
      prefix_log_group = true
    },
    {
      file_path        = "/var/log/user-data.log"
      log_group_name   = "user_data"
      log_stream_name  = "{instance_id}"
      prefix_log_group = true
    },
    {
      file_path        = "/home/ec2-user/actions-runner/_diag/Runner_**.log"
      log_group_name   = "runner"
      log_stream_name  = "{instance_id}"
      prefix_log_group = true
    },
  ]
}

variable "runners_lambda_s3_key" {
  description = "The runners zip in lambda_s3_bucket."
  type        = string
  default     = null
}

variable "runners_lambda_s3_object_version" {
  description = "Its version."
  type        = string
  default     = null
}

variable "runners_lambda_zip" {
  description = "The runners zip; null: functions/<architecture>/runners.zip of this module."
  type        = string
  default     = null
}

variable "runners_maximum_count" {
  description = "The most runners at once."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.runners_maximum_count >= 1 && var.runners_maximum_count <= 10000 && floor(var.runners_maximum_count) == var.runners_maximum_count
    error_message = "The maximum is a whole number from 1 to 10,000."
  }
}

variable "runners_scale_down_lambda_timeout" {
  description = "Seconds that the scale-down function may take."
  type        = number
  default     = 60
  nullable    = false
}

variable "runners_scale_up_lambda_timeout" {
  description = "Seconds that the scale-up function may take."
  type        = number
  default     = 180
  nullable    = false

  validation {
    condition     = var.runners_scale_up_lambda_timeout >= 10 && var.runners_scale_up_lambda_timeout <= 900
    error_message = "10 to 900 seconds."
  }
}

variable "scale_down_schedule_expression" {
  description = "When all sets are looked at: an expression of EventBridge."
  type        = string
  default     = "cron(*/5 * * * ? *)"
  nullable    = false

  validation {
    condition     = can(regex("^(cron|rate)\\(.+\\)$", var.scale_down_schedule_expression))
    error_message = "cron(…) or rate(…)."
  }
}

variable "syncer_lambda_s3_key" {
  description = "The syncer's zip in lambda_s3_bucket."
  type        = string
  default     = null
}

variable "syncer_lambda_s3_object_version" {
  description = "Its version."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags on everything."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "userdata_post_install" {
  description = "A snippet of bash when the runner is on disk and before it starts, as root, in its directory: for what jobs need. It counts within runner_boot_time_in_minutes. userdata_after_runner is the one after it has ended."
  type        = string
  default     = ""
  nullable    = false
}

variable "userdata_pre_install" {
  description = "A snippet of bash before the runner is fetched."
  type        = string
  default     = ""
  nullable    = false
}

variable "userdata_template" {
  description = "The path of a user data template in place of ours. It gets the same variables."
  type        = string
  default     = null

  validation {
    condition     = var.userdata_template == null || try(fileexists(var.userdata_template), false)
    error_message = "There is no such file."
  }
}

variable "webhook_lambda_s3_key" {
  description = "The webhook's zip in lambda_s3_bucket."
  type        = string
  default     = null
}

variable "webhook_lambda_s3_object_version" {
  description = "Its version."
  type        = string
  default     = null
}

variable "webhook_lambda_timeout" {
  description = "Seconds that the webhook function may take. GitHub gives up after 10."
  type        = number
  default     = 10
  nullable    = false
}

variable "webhook_lambda_zip" {
  description = "The webhook's zip; null: functions/<architecture>/webhook.zip of this module."
  type        = string
  default     = null
}

# --- of later versions of philips-labs/github-runner, same names

variable "ami_id_ssm_parameter_name" {
  description = "A parameter of Parameter Store (name or ARN) that holds the image's id, in place of ami_filter and ami_owners. EC2 reads it at each launch, so that a new image needs no apply."
  type        = string
  default     = null
}

variable "associate_public_ipv4_address" {
  description = "Whether machines have a public address, in place of a NAT gateway; null: the subnet decides."
  type        = bool
  default     = null
}

variable "log_level" {
  description = "How much the functions log: error, warn, info, debug or trace."
  type        = string
  default     = "info"
  nullable    = false

  validation {
    condition     = contains(["error", "warn", "info", "debug", "trace"], var.log_level)
    error_message = "The level is error, warn, info, debug or trace."
  }
}

variable "runner_boot_time_in_minutes" {
  description = "Minutes from the hand-off, which is at the launch, until a machine must run its runner, userdata_pre_install and userdata_post_install included; then it is ended and replaced."
  type        = number
  default     = 5
  nullable    = false
}

variable "runner_disable_default_labels" {
  description = "Leave out the labels self-hosted, linux and the architecture: the runners have only those that are given."
  type        = bool
  default     = false
  nullable    = false
}

variable "runner_ec2_tags" {
  description = "Further tags on machines, their disks and interfaces."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "runner_hook_job_completed" {
  description = "A snippet of bash after each job, as the runner's user."
  type        = string
  default     = ""
  nullable    = false
}

variable "runner_hook_job_started" {
  description = "A snippet of bash before each job, as the runner's user. If it fails, the job fails."
  type        = string
  default     = ""
  nullable    = false
}

variable "runner_run_as" {
  description = "The user that runs the runner, made if the image has none. The runner lies in /home/<user>/actions-runner."
  type        = string
  default     = "ec2-user"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z_][a-z0-9_-]{0,31}$", var.runner_run_as))
    error_message = "A user's name has lower-case letters, digits, underscores and hyphens, at most 32 of them."
  }
}

# --- new

variable "image_has_runner" {
  description = "The image has the runner, in /home/<runner_run_as>/actions-runner: none is fetched at boot. Our user data still starts it."
  type        = bool
  default     = false
  nullable    = false
}

variable "metadata_hop_limit" {
  description = "How far the metadata service's answers go: 1, or 2 for jobs in containers that need it."
  type        = number
  default     = 1
  nullable    = false
}

variable "notify_authors" {
  description = "Whether authors are notified by a check run why their job does not run. Needs the App's permission Checks: write."
  type        = bool
  default     = true
  nullable    = false
}

variable "rerun_interrupted" {
  description = "Whether a run's failed jobs are run again, once, when one of them lost its machine. Needs the App's permission Actions: write."
  type        = bool
  default     = false
  nullable    = false
}

variable "userdata_after_runner" {
  description = "A snippet of bash after the runner has ended, as root, at most 5 minutes."
  type        = string
  default     = ""
  nullable    = false
}

variable "ephemeral" {
  description = "One job for each runner. false: runners are used again, as in philips-labs/github-runner."
  type        = bool
  default     = true
  nullable    = false
}

variable "delay_webhook_event" {
  description = "Seconds that a job waits for an idle runner before one is launched; null: 0 for ephemeral runners, which are counted while they boot, else 30."
  type        = number
  default     = null

  validation {
    condition     = var.delay_webhook_event == null || try(var.delay_webhook_event >= 0 && var.delay_webhook_event <= 900, false)
    error_message = "0 to 900 seconds."
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

variable "register_at" {
  description = "The organisation (or owner/repository) where runners register, if it is one. Needed for idle_config to launch runners."
  type        = string
  default     = null
}

variable "alarm_topic_arns" {
  description = "SNS topics that are notified when an alarm begins, and when it is over; none: alarms are seen in CloudWatch alone."
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

variable "disk_kms_key_arns" {
  description = "KMS keys of one's own that encrypt the machines' disks or images, beside block_device_mappings.kms_key_id: an encrypted image's, or the account's default for EBS. EC2's service-linked role for spot needs a grant on them too."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for key in var.disk_kms_key_arns : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", key))])
    error_message = "A disk's key is the ARN of a KMS key (arn:aws:kms:…:key/…); policies do not know aliases."
  }
}

variable "allowed_repositories" {
  description = "Repositories (owner/name, owner/*) that may use the runners; none: all where the App is installed."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "github_webhook" {
  description = "The webhook that feeds this environment, when it is an organisation's or a repository's and not the App's: orgs/<org>/hooks/<id> or repos/<owner>/<repo>/hooks/<id>."
  type        = string
  default     = null

  validation {
    condition     = var.github_webhook == null || can(regex("^(orgs/[^/]+|repos/[^/]+/[^/]+)/hooks/[0-9]+$", var.github_webhook))
    error_message = "orgs/<org>/hooks/<id> or repos/<owner>/<repo>/hooks/<id>."
  }
}

variable "ghes_ca" {
  description = "The PEM of the authority that signed the server's certificate; machines and functions trust it."
  type        = string
  default     = null
}

variable "instance_types" {
  description = "Types in order of preference, in place of instance_type."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "capacity" {
  description = "How machines are bought: how (spot, spot-then-on-demand, on-demand), the allocation strategy, the highest spot price in dollars an hour."
  type = object({
    market              = optional(string, "spot")
    allocation_strategy = optional(string, "price-capacity-optimized")
    spot_max_price      = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["spot", "spot-then-on-demand", "on-demand"], var.capacity.market)
    error_message = "The market is spot, spot-then-on-demand or on-demand."
  }
}

variable "runner_architecture" {
  description = "The machines' architecture, x64 or arm64. It must fit instance_type and the image."
  type        = string
  default     = "x64"
  nullable    = false

  validation {
    condition     = contains(["x64", "arm64"], var.runner_architecture)
    error_message = "x64 or arm64."
  }
}

variable "lambda_architecture" {
  description = "The functions' architecture, that of the zips: x86_64 or arm64."
  type        = string
  default     = "x86_64"
  nullable    = false

  validation {
    condition     = contains(["x86_64", "arm64"], var.lambda_architecture)
    error_message = "x86_64 or arm64."
  }
}

variable "secrets_version" {
  description = "Raise it by one when github_app's key or secret changes: Terraform does not see that by itself."
  type        = number
  default     = 1
  nullable    = false
}

variable "scale_sets" {
  description = "Several scale sets on one control plane, by name, in place of the single one of the inputs above. What an entry does not give is taken from the input of the same name (labels: further ones; market, allocation_strategy and spot_max_price: from capacity). Of two equally specific sets the one with the higher priority gets the jobs."
  type = map(object({
    labels                               = optional(list(string), [])
    runner_disable_default_labels        = optional(bool)
    priority                             = optional(number)
    enable_organization_runners          = optional(bool)
    register_at                          = optional(string)
    allowed_repositories                 = optional(list(string))
    ephemeral                            = optional(bool)
    runners_maximum_count                = optional(number)
    runner_group_name                    = optional(string)
    delay_webhook_event                  = optional(number)
    minimum_running_time_in_minutes      = optional(number)
    notify_authors                       = optional(bool)
    rerun_interrupted                    = optional(bool)
    instance_types                       = optional(list(string))
    runner_architecture                  = optional(string)
    market                               = optional(string)
    allocation_strategy                  = optional(string)
    spot_max_price                       = optional(string)
    ami_filter                           = optional(map(list(string)))
    ami_owners                           = optional(list(string))
    ami_id_ssm_parameter_name            = optional(string)
    image_has_runner                     = optional(bool)
    block_device_mappings                = optional(map(string))
    vpc_id                               = optional(string)
    subnet_ids                           = optional(list(string))
    runner_additional_security_group_ids = optional(list(string))
    associate_public_ipv4_address        = optional(bool)
    metadata_hop_limit                   = optional(number)
    runner_boot_time_in_minutes          = optional(number)
    runner_as_root                       = optional(bool)
    runner_run_as                        = optional(string)
    runner_ec2_tags                      = optional(map(string))
    runner_iam_role_managed_policy_arns  = optional(list(string))
    enable_ssm_on_runners                = optional(bool)
    userdata_template                    = optional(string)
    userdata_pre_install                 = optional(string)
    userdata_post_install                = optional(string)
    userdata_after_runner                = optional(string)
    runner_hook_job_started              = optional(string)
    runner_hook_job_completed            = optional(string)
    enable_cloudwatch_agent              = optional(bool)
    cloudwatch_config                    = optional(string)
    runner_log_files = optional(list(object({
      log_group_name   = string
      prefix_log_group = bool
      file_path        = string
      log_stream_name  = string
    })))
    idle_config = optional(list(object({
      cron      = string
      timeZone  = string
      idleCount = number
    })))
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for name in keys(var.scale_sets) : can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$", name))])
    error_message = "A scale set's name has letters, digits, underscores and hyphens, at most 40 of them."
  }
  validation {
    condition     = alltrue([for set in var.scale_sets : set.market == null ? true : contains(["spot", "spot-then-on-demand", "on-demand"], set.market)])
    error_message = "A scale set's market is spot, spot-then-on-demand or on-demand."
  }
}
