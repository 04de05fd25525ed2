# Written by Runnersmith; fixed text. The values are in terraform.tfvars.json.

terraform {
  # Write-only arguments, so that no secret is in the state.
  required_version = ">= 1.11.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100.0, < 7.0.0"
    }
  }
}
