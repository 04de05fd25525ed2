# A group of like runners: what its machines are, and its policy, registered below the control plane's path. The control plane finds it there
# within minutes; nothing of the control plane changes.

data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

data "aws_subnet" "this" {
  count = length(var.network.subnet_ids)
  id    = var.network.subnet_ids[count.index]
}

# AWS names its newest image of Amazon Linux 2023 itself, whatever line of the kernel is the default by then. It is read also where another
# image is given: whether one is may not be known before the apply.
data "aws_ssm_parameter" "image" {
  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-${local.machine_architecture}"
}

# An image that a parameter names is looked up by EC2, at each launch.
data "aws_ami" "this" {
  count       = local.has_filter ? 1 : 0
  most_recent = true
  owners      = var.machine.ami_owners

  dynamic "filter" {
    for_each = local.ami_filter
    content {
      name   = filter.key
      values = filter.value
    }
  }
}

locals {
  account   = data.aws_caller_identity.this.account_id
  partition = data.aws_partition.this.partition
  region    = data.aws_region.this.id

  # A full stop is in no environment's name, so that a role's name says whose it is.
  full_name = "${var.plane.name}.machine.${var.name}"
  name      = length(local.full_name) <= 64 ? local.full_name : "${var.plane.name}.machine.${substr(sha256(var.name), 0, 8)}"
  tags = merge(var.tags, {
    "runnersmith:environment" = var.plane.environment
    "runnersmith:scale-set"   = var.name
  })

  machine_architecture = { x64 = "x86_64", arm64 = "arm64" }[var.runner.architecture]
  # Amazon Linux 2's glibc (2.26) cannot run today's actions.
  default_filter = { name = ["al2023-ami-2023.*-${local.machine_architecture}"] }
  has_filter     = length(var.machine.ami_filter) > 0 || var.machine.ami_owners != tolist(["amazon"])
  ami_filter = merge(
    { state = ["available"] },
    length(var.machine.ami_filter) == 0 ? local.default_filter : var.machine.ami_filter,
  )
  image = (
    var.machine.ami_parameter != null ? "resolve:ssm:${coalesce(var.machine.ami_parameter, "-")}" :
    local.has_filter ? one(data.aws_ami.this[*].id) : data.aws_ssm_parameter.image.insecure_value
  )
  # Ubuntu's is another one than Amazon Linux's: a disk of the wrong name would be a second one beside a small root.
  # Of an image that a parameter names only AWS's own is known.
  root_device = var.machine.ami_parameter != null ? "/dev/xvda" : coalesce(one(data.aws_ami.this[*].root_device_name), "/dev/xvda")

  security_groups = concat([aws_security_group.this.id], var.network.security_group_ids)

  parameters    = "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter${var.plane.path}"
  hand_off_path = "${var.plane.path}/hand-off"
  archive       = "${var.plane.distribution_prefix}actions-runner-linux-${var.runner.architecture}.tar.gz"

  # length() counts characters.
  user_data_bytes = floor(length(base64encode(local.user_data)) * 3 / 4)
  user_data = templatefile(coalesce(var.user_data.template, "${path.module}/../../../crates/ec2/user-data/user-data.sh.tftpl"), {
    environment                 = var.plane.environment
    region                      = local.region
    hand_off_path               = local.hand_off_path
    distribution_url            = var.machine.image_has_runner ? "" : "s3://${var.plane.distribution_bucket}/${local.archive}"
    runner_user                 = var.machine.user
    run_as_root                 = tostring(var.runner.as_root)
    pre_install                 = var.user_data.pre_install
    post_install                = var.user_data.post_install
    after_runner                = var.user_data.after_runner
    job_started_hook            = var.user_data.job_started
    job_completed_hook          = var.user_data.job_completed
    install_docker              = tostring(var.machine.docker)
    cloudwatch_config_parameter = var.log.agent ? "${local.agent_path}" : ""
    boot_deadline_seconds       = tostring(60 * var.machine.boot_minutes)
    aws_endpoint_url            = ""
    ghes_ca                     = var.user_data.ghes_ca
  })
}

resource "aws_launch_template" "this" {
  #checkov:skip=CKV_AWS_341:1 by default; 2 only where containers need it
  name                                 = local.name
  description                          = "Machines of the scale set ${var.name}"
  update_default_version               = true
  image_id                             = local.image
  instance_type                        = var.machine.instance_types[0]
  key_name                             = var.machine.key_name
  instance_initiated_shutdown_behavior = "terminate"
  vpc_security_group_ids               = var.machine.public_address == null ? local.security_groups : null
  user_data                            = base64encode(local.user_data)
  tags                                 = local.tags

  iam_instance_profile {
    name = aws_iam_instance_profile.this.name
  }

  # EC2 takes the groups from the interface where there is one. The fleet adds the subnet.
  dynamic "network_interfaces" {
    for_each = var.machine.public_address == null ? [] : [var.machine.public_address]
    content {
      device_index                = 0
      associate_public_ip_address = network_interfaces.value
      delete_on_termination       = true
      security_groups             = local.security_groups
    }
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = var.machine.metadata_hop_limit
    instance_metadata_tags      = "disabled"
  }

  block_device_mappings {
    device_name = lookup(var.machine.block_devices, "device_name", local.root_device)

    ebs {
      delete_on_termination = lookup(var.machine.block_devices, "delete_on_termination", "true")
      volume_type           = lookup(var.machine.block_devices, "volume_type", "gp3")
      volume_size           = tonumber(lookup(var.machine.block_devices, "volume_size", "30"))
      encrypted             = lookup(var.machine.block_devices, "encrypted", "true")
      iops                  = try(tonumber(var.machine.block_devices["iops"]), null)
      throughput            = try(tonumber(var.machine.block_devices["throughput"]), null)
      kms_key_id            = try(var.machine.block_devices["kms_key_id"], null)
      snapshot_id           = try(var.machine.block_devices["snapshot_id"], null)
    }
  }

  dynamic "tag_specifications" {
    for_each = ["instance", "volume", "network-interface"]
    content {
      resource_type = tag_specifications.value
      tags          = merge(local.tags, { Name = "${var.plane.environment}-${var.name}" }, { for key, value in var.machine.tags : key => value if !startswith(key, "runnersmith:") })
    }
  }

  lifecycle {
    precondition {
      condition     = local.user_data_bytes <= 16384
      error_message = "The user data has ${local.user_data_bytes} bytes, EC2 takes 16,384: shorten the snippets, or fetch them from S3."
    }
    # Graviton's types have a g after their generation (m7g, c7gn, im4gn), and a1 is the first of them.
    precondition {
      condition     = alltrue([for type in var.machine.instance_types : can(regex("^(a1|[a-z]+[0-9]+g[a-z]*)\\.", type)) == (var.runner.architecture == "arm64")])
      error_message = "The runners are for ${var.runner.architecture}, and not all of ${join(", ", var.machine.instance_types)} are: arm64 needs Graviton types such as m7g.large, x64 needs others."
    }
  }
}

# Nothing comes in; GitHub, AWS and what jobs ask for go out.
resource "aws_security_group" "this" {
  #checkov:skip=CKV_AWS_382:jobs fetch from anywhere; those who want less give groups of their own and a network that refuses the rest
  name        = local.name
  description = "Runners of the scale set ${var.name}: nothing comes in"
  vpc_id      = var.network.vpc_id
  tags        = local.tags

  egress {
    description      = "All that jobs ask for"
    from_port        = 0
    to_port          = 0
    protocol         = "-1"
    cidr_blocks      = ["0.0.0.0/0"]
    ipv6_cidr_blocks = ["::/0"]
  }
}

# The policy. Writing it is the registration.
resource "aws_ssm_parameter" "policy" {
  #checkov:skip=CKV2_AWS_34:no secret: the scale set's policy
  name        = "${var.plane.path}/config/sets/${var.name}"
  description = "The policy of the scale set ${var.name}"
  type        = "String"
  # More than 4 KB are kept too.
  tier = "Intelligent-Tiering"
  tags = local.tags

  # Not secret: a plan should show what changes in it.
  insecure_value = jsonencode(merge({
    name                            = var.name
    labels                          = distinct(var.labels)
    level                           = var.scope.level
    at                              = var.scope.at
    allowed_repositories            = var.scope.allowed_repositories
    runner_group                    = var.runner.group
    runners_max                     = var.runner.maximum
    ephemeral                       = var.runner.ephemeral
    delay_seconds                   = var.runner.delay_seconds
    minimum_running_time_in_minutes = var.runner.minimum_running_minutes
    boot_deadline_minutes           = var.machine.boot_minutes
    idle_config                     = var.runner.idle_config
    ec2 = {
      launch_template         = aws_launch_template.this.id
      launch_template_version = tostring(aws_launch_template.this.latest_version)
      instance_types          = var.machine.instance_types
      subnets                 = [for subnet in data.aws_subnet.this : { zone = subnet.availability_zone, id = subnet.id }]
      capacity                = var.machine.capacity
      allocation_strategy     = var.machine.allocation_strategy
      spot_max_price          = var.machine.spot_max_price
    }
  }, var.policy))
}
