module "runners" {
  source     = "github-aws-runners/github-runner/aws//modules/multi-runner"
  version    = "6.1.0"
  aws_region = var.region
  vpc_id     = var.vpc_id
  subnet_ids = var.subnet_ids
  prefix     = "computed"
  github_app = var.github_app
  multi_runner_config = {
    for file in fileset("${path.module}/kinds", "*.yaml") : trimsuffix(file, ".yaml") => yamldecode(file("${path.module}/kinds/${file}"))
  }
}
