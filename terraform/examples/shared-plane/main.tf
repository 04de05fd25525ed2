# One control plane, with one App webhook, and scale sets that register themselves. Each set can be a stack of its own: it needs only the output `plane`.

module "network" {
  source = "../../modules/network"

  name = "shared"
}

module "plane" {
  source = "../../modules/control-plane"

  environment = "shared"
  github      = { app_id = nonsensitive(var.github_app.id) }
  secrets = {
    private_key    = var.github_app.key_base64
    webhook_secret = var.github_app.webhook_secret
  }
  code = {
    webhook = { file = "${var.zips}/webhook.zip" }
    runners = { file = "${var.zips}/runners.zip" }
    syncer  = { file = "${var.zips}/runner-binaries-syncer.zip" }
  }
}

module "linux" {
  source = "../../modules/scale-set"

  plane   = module.plane.plane
  name    = "linux"
  labels  = ["self-hosted", "linux", "x64"]
  runner  = { maximum = 20 }
  network = { vpc_id = module.network.vpc_id, subnet_ids = module.network.private_subnet_ids }
}

module "large" {
  source = "../../modules/scale-set"

  plane   = module.plane.plane
  name    = "large"
  labels  = ["self-hosted", "linux", "x64", "large"]
  runner  = { maximum = 4 }
  machine = { instance_types = ["m7i.4xlarge", "m6i.4xlarge"], capacity = "spot-then-on-demand" }
  network = { vpc_id = module.network.vpc_id, subnet_ids = module.network.private_subnet_ids }
}
