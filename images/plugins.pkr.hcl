# Packer takes its plugins from here (`packer init images`). Apart from the template, because Packer before 1.7 has the builder
# in itself and does not know this block.

packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = "~> 1.3"
    }
  }
}
