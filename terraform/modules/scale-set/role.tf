# What a machine may do, each only with what is its own.

resource "aws_iam_role" "this" {
  name                 = local.name
  path                 = coalesce(var.role.path, "/${var.plane.environment}/")
  permissions_boundary = var.role.permissions_boundary
  tags                 = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect = "Allow"
      Action = "sts:AssumeRole"
      # In China EC2 has a name of its own.
      Principal = { Service = local.partition == "aws-cn" ? "ec2.amazonaws.com.cn" : "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_instance_profile" "this" {
  name = local.name
  path = coalesce(var.role.profile_path, "/${var.plane.environment}/")
  role = aws_iam_role.this.name
  tags = local.tags
}

resource "aws_iam_role_policy" "this" {
  name = "machine"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          # The control plane tags a hand-off with its machine's id; the machine cannot choose what it is.
          Sid       = "OwnHandOff"
          Effect    = "Allow"
          Action    = ["ssm:DeleteParameter", "ssm:GetParameter"]
          Resource  = ["${local.parameters}/hand-off/*"]
          Condition = { StringLike = { "ec2:SourceInstanceARN" = "*/$${aws:ResourceTag/runnersmith-machine}" } }
        },
        {
          Sid    = "OwnVoice"
          Effect = "Allow"
          Action = ["ec2:CreateTags"]
          Resource = [
            "arn:${local.partition}:ec2:${local.region}:${local.account}:instance/*",
          ]
          Condition = {
            StringEquals                = { "aws:ARN" = "$${ec2:SourceInstanceARN}" }
            "ForAllValues:StringEquals" = { "aws:TagKeys" = ["runnersmith:voice"] }
          }
        },
        {
          # EC2 has no resource for reading tags.
          Sid      = "SeeTags"
          Effect   = "Allow"
          Action   = ["ec2:DescribeTags"]
          Resource = ["*"]
        },
      ],
      var.machine.image_has_runner ? [] : [{
        Sid      = "Distribution"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = ["arn:${local.partition}:s3:::${var.plane.distribution_bucket}/${local.archive}"]
      }],
      var.plane.has_key ? [{
        # Only what is below hand-off: the App's key is encrypted with the same key.
        Sid       = "OpenHandOff"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = [var.plane.key_arn]
        Condition = { StringLike = { "kms:EncryptionContext:PARAMETER_ARN" = "${local.parameters}/hand-off/*" } }
      }] : [],
      var.log.agent ? [
        {
          Sid      = "AgentConfiguration"
          Effect   = "Allow"
          Action   = ["ssm:GetParameter"]
          Resource = [aws_ssm_parameter.agent[0].arn]
        },
        {
          Sid      = "WriteLogs"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
          Resource = flatten([for group in aws_cloudwatch_log_group.this : [group.arn, "${group.arn}:*"]])
        },
      ] : [],
      # A configuration of one's own may send metrics; CloudWatch has no resource for them.
      var.log.agent && var.log.config != null ? [{
        Sid      = "WriteMetrics"
        Effect   = "Allow"
        Action   = ["cloudwatch:PutMetricData"]
        Resource = ["*"]
      }] : [],
      # Not AmazonSSMManagedInstanceCore: that one may read every parameter.
      var.machine.session_manager ? [{
        Sid    = "SessionManager"
        Effect = "Allow"
        Action = [
          "ssm:UpdateInstanceInformation",
          "ssmmessages:CreateControlChannel",
          "ssmmessages:CreateDataChannel",
          "ssmmessages:OpenControlChannel",
          "ssmmessages:OpenDataChannel",
        ]
        Resource = ["*"]
      }] : [],
    )
  })
}

resource "aws_iam_role_policy_attachment" "this" {
  count      = length(var.machine.managed_policy_arns)
  role       = aws_iam_role.this.name
  policy_arn = var.machine.managed_policy_arns[count.index]
}
