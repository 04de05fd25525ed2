variable "aws_region" {
  description = "Where everything is."
  type        = string
  default     = "eu-west-1"
}

variable "github_app" {
  description = "The GitHub App. Give it by TF_VAR_github_app or a file that is not committed."
  type = object({
    key_base64     = string
    id             = string
    webhook_secret = string
  })
  sensitive = true
}

variable "github_webhooks" {
  description = "The organisation's webhook of each environment (orgs/<org>/hooks/<id>); null until it is made, which needs the endpoint of the first apply."
  type        = map(string)
  default     = { blue = null, green = null }
  nullable    = false
}
