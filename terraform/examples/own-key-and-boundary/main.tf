# Everything encrypted with one's own key, and every role below a path and within a permissions boundary.

resource "aws_kms_key" "own" {
  #checkov:skip=CKV2_AWS_64:the account's own policies say who uses it, as its default policy lets them
  description             = "Runners"
  enable_key_rotation     = true
  deletion_window_in_days = 7
}

resource "aws_iam_policy" "boundary" {
  #checkov:skip=CKV_AWS_286:a boundary grants nothing; it is the ceiling above policies that are narrow
  #checkov:skip=CKV_AWS_287:a boundary grants nothing; it is the ceiling above policies that are narrow
  #checkov:skip=CKV_AWS_288:a boundary grants nothing; it is the ceiling above policies that are narrow
  #checkov:skip=CKV_AWS_289:a boundary grants nothing; it is the ceiling above policies that are narrow
  #checkov:skip=CKV_AWS_290:a boundary grants nothing; it is the ceiling above policies that are narrow
  #checkov:skip=CKV_AWS_355:a boundary grants nothing; it is the ceiling above policies that are narrow
  name        = "runners-boundary"
  description = "What no role of the runners may go beyond"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid    = "Boundary"
      Effect = "Allow"
      Action = ["cloudwatch:*", "dynamodb:*", "ec2:*", "iam:PassRole", "kms:*", "logs:*", "s3:*", "sqs:*", "ssm:*"]
      # A boundary grants nothing; it bounds what the roles' own policies grant.
      Resource = "*"
    }]
  })
}

module "network" {
  source = "../../modules/network"

  name = "runners"
}

module "runners" {
  source = "../.."

  aws_region                  = var.aws_region
  vpc_id                      = module.network.vpc_id
  subnet_ids                  = module.network.private_subnet_ids
  github_app                  = var.github_app
  environment                 = "own_key"
  enable_organization_runners = true
  # No key is made: whether there is one must be known when planning.
  manage_kms_key            = false
  kms_key_id                = aws_kms_key.own.arn
  role_path                 = "/teams/ci/"
  instance_profile_path     = "/teams/ci/"
  role_permissions_boundary = aws_iam_policy.boundary.arn
}
