# Written by Runnersmith; fixed text. The values are in terraform.tfvars.json.

provider "aws" {
  region = var.aws_region
}

# What the plane says of itself to those who join.
data "aws_ssm_parameter" "plane" {
  name = "${var.plane_path}/plane"
}

module "runners" {
  source = "@MODULE_SOURCE@"

  plane  = jsondecode(data.aws_ssm_parameter.plane.insecure_value)
  name   = var.environment
  labels = concat(["self-hosted", "linux", "x64"], [for label in split(",", var.runner_extra_labels) : trimspace(label) if trimspace(label) != ""])

  scope = {
    level = var.enable_organization_runners ? "organization" : "repository"
    at    = var.organization
  }
  runner = {
    group       = var.runner_group_name
    maximum     = var.runners_maximum_count
    idle_config = var.idle_config
  }
  machine = {
    instance_types = [var.instance_type]
    ami_filter     = var.ami_filter
    ami_owners     = var.ami_owners
  }
  network = {
    vpc_id     = var.vpc_id
    subnet_ids = var.subnet_ids
  }
}
