output "name" {
  description = "The scale set's name."
  value       = var.name
}

output "labels" {
  description = "What jobs may ask for."
  value       = distinct(var.labels)
}

output "policy" {
  description = "The registered policy, as JSON."
  value       = aws_ssm_parameter.policy.insecure_value
}

output "policy_parameter" {
  description = "The parameter by which the control plane finds the set."
  value       = aws_ssm_parameter.policy.name
}

output "launch_template_id" {
  description = "The launch template."
  value       = aws_launch_template.this.id
}

output "role_arn" {
  description = "The machines' role."
  value       = aws_iam_role.this.arn
}

output "role_policy" {
  description = "What a machine may do, as JSON."
  value       = aws_iam_role_policy.this.policy
}

output "security_group_id" {
  description = "The machines' security group."
  value       = aws_security_group.this.id
}

output "user_data" {
  description = "The rendered user data."
  value       = local.user_data
}

output "checks" {
  description = "How things are set up, for checks."
  value = {
    vpc_id               = aws_security_group.this.vpc_id
    ami_filter           = local.ami_filter
    ami_owners           = one(data.aws_ami.this[*].owners)
    image                = aws_launch_template.this.image_id
    hop_limit            = aws_launch_template.this.metadata_options[0].http_put_response_hop_limit
    interfaces           = aws_launch_template.this.network_interfaces
    machine_tags         = aws_launch_template.this.tag_specifications[0].tags
    root_device          = aws_launch_template.this.block_device_mappings[0].device_name
    disk                 = aws_launch_template.this.block_device_mappings[0].ebs[0]
    agent                = one(aws_ssm_parameter.agent[*].insecure_value)
    log_groups           = local.groups
    retention            = try(values(aws_cloudwatch_log_group.this)[0].retention_in_days, null)
    key_name             = aws_launch_template.this.key_name
    profile_path         = aws_iam_instance_profile.this.path
    role_path            = aws_iam_role.this.path
    boundary             = aws_iam_role.this.permissions_boundary
    managed              = aws_iam_role_policy_attachment.this[*].policy_arn
    more_security_groups = var.network.security_group_ids
    tags                 = aws_launch_template.this.tags
    user_data            = local.user_data
  }
}
