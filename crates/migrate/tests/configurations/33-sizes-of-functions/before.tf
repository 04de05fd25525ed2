module "runners" {
  source                                    = "github-aws-runners/github-runner/aws"
  version                                   = "7.5.0"
  aws_region                                = var.region
  vpc_id                                    = var.vpc_id
  subnet_ids                                = var.subnet_ids
  prefix                                    = "sizes"
  enable_organization_runners               = true
  github_app                                = var.github_app
  webhook_lambda_memory_size                = 512
  runners_scale_up_lambda_memory_size       = 1024
  runners_scale_down_lambda_memory_size     = 512
  runner_binaries_syncer_lambda_memory_size = 512
  pool_lambda_memory_size                   = 512
  lambda_event_source_mapping_batch_size    = 10
  log_class                                 = "INFREQUENT_ACCESS"
  parameter_store_tags                      = { Owner = "platform" }
  scale_errors                              = ["UnfulfillableCapacity"]
  webhook_lambda_timeout                    = 10
  runners_scale_down_lambda_timeout         = 90
}
