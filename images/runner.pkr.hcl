# An image of a runner's machine with more in it: what the user data would install at each boot, and packages of your own.
# `terraform/examples/own-ami` selects it by its name. README.md says how it is built.

variable "region" {
  description = "Where it is built."
  type        = string
  default     = "eu-west-1"
}

variable "regions" {
  description = "Where it is copied to, beside the region in which it is built."
  type        = list(string)
  default     = []
}

variable "architecture" {
  description = "x86_64 or arm64."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "Images are for x86_64 or arm64."
  }
}

variable "kernel" {
  description = "The line of Amazon Linux 2023's kernel, such as 6.1; *: the line of which an image was published last, which need not be AWS's default."
  type        = string
  default     = "*"

  validation {
    condition     = var.kernel == "*" || regex_replace(var.kernel, "^[0-9]+[.][0-9]+$", "") == "" && var.kernel != ""
    error_message = "The kernel's line is two numbers, such as 6.1, or *."
  }
}

variable "packages" {
  description = "More packages, by their names in Amazon Linux 2023."
  type        = list(string)
  default     = ["git", "jq", "make", "unzip", "zip"]

  validation {
    condition     = length([for name in var.packages : name if regex_replace(name, "^[A-Za-z0-9][A-Za-z0-9+._-]*$", "") != ""]) == 0
    error_message = "A package's name has letters, digits, and the characters + . _ -, such as java-21-amazon-corretto-headless."
  }
}

variable "name" {
  description = "What the image's name begins with; its architecture and the time follow."
  type        = string
  default     = "runnersmith-runner"
}

variable "subnet_id" {
  description = "The subnet in which it is built; empty: one of the default VPC."
  type        = string
  default     = ""
}

variable "volume_size" {
  description = "The root volume, GiB. A runner's volume is at least as large."
  type        = number
  default     = 30
}

variable "encrypt" {
  description = "Whether the image is encrypted. Other accounts cannot use one that is, unless its key is theirs too."
  type        = bool
  default     = false
}

variable "kms_key_id" {
  description = "The key, if it is encrypted by one of your own; the account's default key if it is empty."
  type        = string
  default     = ""
}

variable "ami_users" {
  description = "Accounts that may use it, beside the one that builds it."
  type        = list(string)
  default     = []
}

locals {
  instance_type = var.architecture == "arm64" ? "m7g.large" : "m5.large"
  created       = formatdate("YYYYMMDDhhmmss", timestamp())
}

source "amazon-ebs" "runner" {
  ami_name        = "${var.name}-${var.architecture}-${local.created}"
  ami_description = "A machine for GitHub Actions runners of Runnersmith, ${var.architecture}"
  ami_regions     = var.regions
  ami_users       = var.ami_users
  encrypt_boot    = var.encrypt
  kms_key_id      = var.kms_key_id
  instance_type   = local.instance_type
  region          = var.region
  ssh_username    = "ec2-user"
  subnet_id       = var.subnet_id

  # The newest Amazon Linux 2023. The module takes AWS's default line of the kernel when no image is named; no filter can say which that is.
  source_ami_filter {
    filters = {
      name                = "al2023-ami-2023.*-kernel-${var.kernel}-${var.architecture}"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
    most_recent = true
    owners      = ["amazon"]
  }

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_size           = var.volume_size
    volume_type           = "gp3"
    iops                  = 3000
    throughput            = 125
    delete_on_termination = true
  }

  # The building machine answers only to version 2 of the metadata service, as runners' machines do.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  tags = {
    Name         = "${var.name}-${var.architecture}"
    architecture = var.architecture
    source       = "{{ .SourceAMIName }}"
  }
}

build {
  sources = ["source.amazon-ebs.runner"]

  provisioner "shell" {
    # As one word for each package: no name has a blank.
    environment_vars = ["PACKAGES=${join(" ", var.packages)}"]
    execute_command  = "sudo env {{ .Vars }} bash '{{ .Path }}'"
    script           = "${path.root}/provision.sh"
  }
}
