module "runners" {
  source                      = "github-aws-runners/github-runner/aws"
  version                     = "6.5.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  prefix                      = "object"
  enable_organization_runners = true
  github_app                  = var.github_app
  ami = {
    filter = { name = ["al2023-ami-2023.*-kernel-6.1-x86_64"], state = ["available"] }
    owners = ["amazon"]
  }
  runner_cpu_options = { core_count = 2, threads_per_core = 1 }
}
