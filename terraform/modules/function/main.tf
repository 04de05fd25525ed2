# One Lambda function with a role, a log and nothing else of its own.

locals {
  in_vpc = length(var.network.subnet_ids) > 0
  # A bucket may hold some of the zips only.
  in_s3 = var.code.bucket != null && var.code.key != null
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:how long is an input; 180 days as in philips-labs/github-runner
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log.retention
  kms_key_id        = var.log.kms_key_id
  tags              = var.tags
}

resource "aws_iam_role" "this" {
  name                 = var.name
  path                 = var.role.path
  permissions_boundary = var.role.permissions_boundary
  tags                 = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name = "function"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid      = "OwnLog"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${aws_cloudwatch_log_group.this.arn}:*"]
      }],
      var.has_dead_letters ? [{
        Sid      = "OwnDeadLetters"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage"]
        Resource = [var.dead_letter_arn]
      }] : [],
      # Network interfaces have no name before they are made; AWS knows no narrower resource for these.
      local.in_vpc ? [{
        Sid    = "InVpc"
        Effect = "Allow"
        Action = [
          "ec2:AssignPrivateIpAddresses",
          "ec2:CreateNetworkInterface",
          "ec2:DeleteNetworkInterface",
          "ec2:DescribeNetworkInterfaces",
          "ec2:UnassignPrivateIpAddresses",
        ]
        Resource = ["*"]
      }] : [],
      var.statements,
    )
  })
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_173:no secret: paths and names
  #checkov:skip=CKV_AWS_272:the code is taken by the hash of a zip that anyone can build again byte by byte
  #checkov:skip=CKV_AWS_50:it would need rights that no program declares; durations are metrics
  function_name                  = var.name
  description                    = "Runnersmith: ${var.handler}"
  role                           = aws_iam_role.this.arn
  runtime                        = "provided.al2023"
  architectures                  = [var.architecture]
  handler                        = var.handler
  memory_size                    = var.memory_size
  timeout                        = var.timeout
  reserved_concurrent_executions = var.concurrency

  filename          = local.in_s3 ? null : var.code.file
  source_code_hash  = local.in_s3 ? null : try(filebase64sha256(var.code.file), null)
  s3_bucket         = local.in_s3 ? var.code.bucket : null
  s3_key            = local.in_s3 ? var.code.key : null
  s3_object_version = local.in_s3 ? var.code.object_version : null

  environment {
    variables = merge({ RUNNERSMITH_LOG = var.log.level }, var.variables)
  }

  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.this.name
  }

  dynamic "vpc_config" {
    for_each = local.in_vpc ? [var.network] : []
    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }

  dynamic "dead_letter_config" {
    for_each = var.has_dead_letters ? [var.dead_letter_arn] : []
    content {
      target_arn = dead_letter_config.value
    }
  }

  tags       = var.tags
  depends_on = [aws_iam_role_policy.this]

  lifecycle {
    precondition {
      condition     = local.in_s3 || try(fileexists(var.code.file), false)
      error_message = "The zip ${coalesce(var.code.file, "(none)")} is not there; `cargo xtask lambda` builds it, a release has it, or name a bucket with lambda_s3_bucket and the keys."
    }

    # A zip begins with the name of its first file. In base64 a file's bytes 30 to 38 are the characters 40 to 51.
    precondition {
      condition     = local.in_s3 || try(substr(filebase64(var.code.file), 40, 12) == "Ym9vdHN0cmFw", true)
      error_message = "The zip ${coalesce(var.code.file, "(none)")} does not begin with a file `bootstrap`: it is not one of Runnersmith's (the zips of github-runner's Node functions do not work here)."
    }
  }
}
