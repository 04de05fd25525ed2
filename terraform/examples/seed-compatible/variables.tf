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
    client_id      = optional(string)
    client_secret  = optional(string)
    webhook_secret = string
  })
  sensitive = true
}
