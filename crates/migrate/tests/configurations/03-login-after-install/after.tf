module "runners" {
  source = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0"

  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  environment                 = "builds-2"
  enable_organization_runners = true
  github_app = {
    key_base64     = var.key
    id             = var.id
    webhook_secret = var.webhook_secret
  }
  userdata_pre_install                = "yum install -y git"
  userdata_post_install               = <<-EOT
    aws ecr get-login-password | docker login --username AWS --password-stdin registry.example.com
  EOT
  runner_iam_role_managed_policy_arns = ["arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"]
}
