module "runners" {
  source                      = "github-aws-runners/github-runner/aws"
  version                     = "5.10.0"
  aws_region                  = var.region
  vpc_id                      = var.vpc_id
  subnet_ids                  = var.subnet_ids
  prefix                      = "text"
  enable_organization_runners = true
  github_app                  = var.github_app
  userdata_content            = file("${path.module}/user-data.sh.tftpl")
  instance_termination_watcher = {
    enable = true
  }
}
