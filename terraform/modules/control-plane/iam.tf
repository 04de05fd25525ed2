# What the functions may do: the operations that the programs declare (`--operations`), each on the environment's own
# resources. A test compares the lists, and checks the documents.

locals {
  # In China EC2 has a name of its own, Lambda has not.
  ec2_service = local.partition == "aws-cn" ? "ec2.amazonaws.com.cn" : "ec2.amazonaws.com"
  ec2         = "arn:${local.partition}:ec2:${local.region}:${local.account}"
  # Machine roles are named so by the scale-set module; an environment's name has no full stop.
  machine_roles = [for path in ["", "*/"] : "arn:${local.partition}:iam::${local.account}:role/${path}${local.name}.machine.*"]
  launched = concat(
    [for kind in ["instance", "key-pair", "network-interface", "security-group", "subnet", "volume"] : "${local.ec2}:${kind}/*"],
    [for kind in ["image", "snapshot"] : "arn:${local.partition}:ec2:${local.region}::${kind}/*"],
  )
  own_tag = { StringEquals = { "aws:ResourceTag/runnersmith:environment" = var.environment } }

  reads_settings = [
    {
      Sid      = "OwnSettings"
      Effect   = "Allow"
      Action   = ["ssm:GetParametersByPath"]
      Resource = ["${local.parameters}/config", "${local.parameters}/config/*"]
    },
  ]

  reads = {
    for kind, names in {
      webhook = [local.secret_arns["webhook_secret"]]
      runners = concat(
        [local.secret_arns["private_key"], "${local.parameters}/hand-off/*"],
        var.github.ca_parameter == null ? [] : ["arn:${local.partition}:ssm:${local.region}:${local.account}:parameter${var.github.ca_parameter}"],
      )
      } : kind => [{
        Sid      = "OwnSecrets"
        Effect   = "Allow"
        Action   = ["ssm:GetParameters"]
        Resource = names
    }]
  }

  decrypts = local.has_key ? [{
    Sid      = "OwnKey"
    Effect   = "Allow"
    Action   = ["kms:Decrypt"]
    Resource = [local.key_arn]
  }] : []

  encrypts = local.has_key ? [{
    Sid      = "OwnKey"
    Effect   = "Allow"
    Action   = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]
    Resource = [local.key_arn]
  }] : []

  sends = [{
    Sid      = "OwnQueue"
    Effect   = "Allow"
    Action   = ["sqs:SendMessage"]
    Resource = [aws_sqs_queue.work["jobs"].arn]
  }]

  consumes = [{
    Sid    = "OwnQueue"
    Effect = "Allow"
    Action = [
      "sqs:ChangeMessageVisibility",
      "sqs:DeleteMessage",
      "sqs:GetQueueAttributes",
      "sqs:ReceiveMessage",
      "sqs:SendMessage",
    ]
    # What cannot be read goes to the dead letters at once.
    Resource = concat(values(aws_sqs_queue.work)[*].arn, [aws_sqs_queue.dead.arn])
  }]

  writes_history = [{
    Sid      = "OwnLedger"
    Effect   = "Allow"
    Action   = ["dynamodb:BatchWriteItem"]
    Resource = [aws_dynamodb_table.ledger.arn]
  }]

  keeps_ledger = [{
    Sid    = "OwnLedger"
    Effect = "Allow"
    Action = [
      "dynamodb:BatchWriteItem",
      "dynamodb:ConditionCheckItem",
      "dynamodb:DeleteItem",
      "dynamodb:GetItem",
      "dynamodb:PutItem",
      "dynamodb:Query",
      "dynamodb:UpdateItem",
    ]
    Resource = [aws_dynamodb_table.ledger.arn, "${aws_dynamodb_table.ledger.arn}/index/*"]
  }]

  hands_over = [{
    Sid      = "OwnHandOffs"
    Effect   = "Allow"
    Action   = ["ssm:AddTagsToResource", "ssm:DeleteParameter", "ssm:PutParameter"]
    Resource = ["${local.parameters}/hand-off/*"]
    }, {
    Sid      = "OwnHandOffsListed"
    Effect   = "Allow"
    Action   = ["ssm:GetParametersByPath"]
    Resource = ["${local.parameters}/hand-off", "${local.parameters}/hand-off/*"]
  }]

  # EC2 reads an image's parameter as the caller of a launch. AWS's guide to such templates says GetParameters; launches have also
  # been refused for want of GetParameter. A public parameter has no account in its ARN.
  images = flatten([for name in var.image_parameters : startswith(name, "arn:") ? [name] : [
    for account in startswith(name, "/aws/service/") ? [local.account, ""] : [local.account] :
    "arn:${local.partition}:ssm:${local.region}:${account}:parameter/${trimprefix(name, "/")}"
  ]])
  reads_images = length(local.images) == 0 ? [] : [{
    Sid      = "Images"
    Effect   = "Allow"
    Action   = ["ssm:GetParameter", "ssm:GetParameters"]
    Resource = distinct(local.images)
  }]

  has_machines = [
    {
      # EC2 has no resource for reading.
      Sid      = "SeeMachines"
      Effect   = "Allow"
      Action   = ["ec2:DescribeInstances"]
      Resource = ["*"]
    },
    {
      # Only by launch templates that are this environment's. EC2 asks for the rest of a launch beside it.
      Sid       = "OwnTemplates"
      Effect    = "Allow"
      Action    = ["ec2:CreateFleet", "ec2:RunInstances"]
      Resource  = ["${local.ec2}:launch-template/*"]
      Condition = local.own_tag
    },
    {
      Sid      = "Fleets"
      Effect   = "Allow"
      Action   = ["ec2:CreateFleet"]
      Resource = concat(["${local.ec2}:fleet/*", "${local.ec2}:spot-instances-request/*"], local.launched)
    },
    {
      # EC2 names no template for a request for spot machines (Service Authorization Reference: the key ec2:LaunchTemplate is not among
      # those of the resource), so that a condition on one would deny every launch on spot whose requests are tagged.
      Sid      = "SpotRequests"
      Effect   = "Allow"
      Action   = ["ec2:RunInstances"]
      Resource = ["${local.ec2}:spot-instances-request/*"]
    },
    {
      # What a launch is made of. The template names it; a launch without such a template is refused by the condition.
      Sid       = "Launch"
      Effect    = "Allow"
      Action    = ["ec2:RunInstances"]
      Resource  = local.launched
      Condition = { ArnLike = { "ec2:LaunchTemplate" = "${local.ec2}:launch-template/*" } }
    },
    {
      Sid       = "TagWhatIsLaunched"
      Effect    = "Allow"
      Action    = ["ec2:CreateTags"]
      Resource  = ["${local.ec2}:fleet/*", "${local.ec2}:instance/*", "${local.ec2}:network-interface/*", "${local.ec2}:spot-instances-request/*", "${local.ec2}:volume/*"]
      Condition = { StringEquals = { "ec2:CreateAction" = ["CreateFleet", "RunInstances"] } }
    },
    {
      Sid       = "OwnMachines"
      Effect    = "Allow"
      Action    = ["ec2:CreateTags", "ec2:TerminateInstances"]
      Resource  = ["${local.ec2}:instance/*"]
      Condition = local.own_tag
    },
    {
      Sid       = "OwnMachineRoles"
      Effect    = "Allow"
      Action    = ["iam:PassRole"]
      Resource  = local.machine_roles
      Condition = { StringEquals = { "iam:PassedToService" = local.ec2_service } }
    },
  ]

  # An instant fleet launches with the caller's rights, and so EBS uses the key in the caller's name (EBS User Guide, "Amazon EBS
  # encryption", required permissions). Without them a launch succeeds, and its machines end at once with Client.InternalError.
  uses_disk_keys = [for statement in [
    {
      Sid      = "DiskKeys"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncrypt*"]
      Resource = var.disk_key_arns
    },
    {
      Sid       = "DiskKeysByGrant"
      Effect    = "Allow"
      Action    = ["kms:CreateGrant"]
      Resource  = var.disk_key_arns
      Condition = { Bool = { "kms:GrantIsForAWSResource" = "true" } }
    },
  ] : statement if length(var.disk_key_arns) > 0]

  pass = concat(
    local.reads_settings, local.reads["runners"], local.encrypts, local.keeps_ledger, local.hands_over, local.has_machines,
    local.uses_disk_keys, local.reads_images,
  )

  statements = {
    webhook     = concat(local.reads_settings, local.reads["webhook"], local.decrypts, local.sends, local.writes_history)
    scale-up    = concat(local.pass, local.consumes)
    scale-down  = concat(local.pass, local.sends)
    housekeeper = concat(local.pass, local.sends)
    syncer = concat(
      [{
        Sid      = "OwnBucket"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject"]
        Resource = ["${aws_s3_bucket.distribution.arn}/*"]
        }, {
        # Without it S3 answers 403 for what is not there yet. No condition on a prefix: a question for one object names none.
        Sid      = "OwnBucketListed"
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = [aws_s3_bucket.distribution.arn]
      }],
      # Declared for the case that releases come from a server with its own authorities.
      var.github.ca_parameter == null ? [] : [{
        Sid      = "Authorities"
        Effect   = "Allow"
        Action   = ["ssm:GetParameters"]
        Resource = ["arn:${local.partition}:ssm:${local.region}:${local.account}:parameter${var.github.ca_parameter}"]
      }],
    )
  }
}
