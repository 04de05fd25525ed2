variable "bucket" {
  description = "The bucket's name, unique in the world."
  type        = string
  nullable    = false
}

variable "lock_table" {
  description = "A DynamoDB table for locks; null: S3's lock file serves."
  type        = string
  default     = null
}

variable "kms_key_id" {
  description = "The KMS key of the bucket; null: AWS's own encryption."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags on everything."
  type        = map(string)
  default     = {}
  nullable    = false
}
