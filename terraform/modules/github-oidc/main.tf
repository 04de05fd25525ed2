# Two identities for workflows, without any key in GitHub: one that plans (reads, and takes the state's lock), one that applies.
# A token of GitHub says which repository, environment and workflow file it was made for; the trust names all three.

data "aws_partition" "this" {}
data "aws_caller_identity" "this" {}

locals {
  host     = trimprefix(var.issuer, "https://")
  provider = var.create_provider ? aws_iam_openid_connect_provider.this[0].arn : "arn:${data.aws_partition.this.partition}:iam::${data.aws_caller_identity.this.account_id}:oidc-provider/${local.host}"

  roles = {
    plan  = { environment = var.plan_environment, policies = concat(["arn:${data.aws_partition.this.partition}:iam::aws:policy/ReadOnlyAccess"], var.plan_policy_arns) }
    apply = { environment = var.apply_environment, policies = var.apply_policy_arns }
  }

  # A repository made, renamed or transferred after 15 July 2026 has the ids in its subject ("immutable subject claims"; GitHub's OpenID
  # Connect reference). Both forms are listed exactly: a pattern such as acme*/… would take another owner's tokens.
  names     = split("/", var.repository)
  has_ids   = var.repository_id != null && var.owner_id != null
  immutable = local.has_ids ? "repo:${local.names[0]}@${format("%d", var.owner_id)}/${local.names[1]}@${format("%d", var.repository_id)}" : null
  subjects  = compact(["repo:${var.repository}", local.immutable])
  # AWS compares further claims for github.com's own issuer only.
  compares_claims = var.issuer == "https://token.actions.githubusercontent.com"

  attachments = merge([for name, role in local.roles : { for index, arn in role.policies : "${name}-${index}" => { role = name, arn = arn } }]...)
}

resource "aws_iam_openid_connect_provider" "this" {
  count          = var.create_provider ? 1 : 0
  url            = var.issuer
  client_id_list = ["sts.amazonaws.com"]
  tags           = var.tags
}

resource "aws_iam_role" "this" {
  for_each             = local.roles
  name                 = "${var.name}-${each.key}"
  description          = "Workflows of ${var.repository} that ${each.key}"
  path                 = var.role_path
  permissions_boundary = var.role_permissions_boundary
  max_session_duration = 3600
  tags                 = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = local.provider }
      Condition = {
        StringEquals = merge(
          {
            "${local.host}:aud" = "sts.amazonaws.com"
            "${local.host}:sub" = [for subject in local.subjects : "${subject}:environment:${each.value.environment}"]
          },
          # Names can be taken again by somebody else, the id cannot.
          local.has_ids && local.compares_claims ? { "${local.host}:repository_id" = format("%d", var.repository_id) } : {},
          var.workflow == null ? {} : { "${local.host}:job_workflow_ref" = "${var.repository}/${var.workflow}@refs/heads/${var.default_branch}" },
        )
      }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each   = local.attachments
  role       = aws_iam_role.this[each.value.role].name
  policy_arn = each.value.arn
}
