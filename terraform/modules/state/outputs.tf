output "bucket" {
  description = "The bucket."
  value       = aws_s3_bucket.this.id
}

output "bucket_arn" {
  description = "Its ARN."
  value       = aws_s3_bucket.this.arn
}

output "lock_table" {
  description = "The lock table, if there is one."
  value       = one(aws_dynamodb_table.lock[*].name)
}

output "lock_table_arn" {
  description = "Its ARN, if there is one."
  value       = one(aws_dynamodb_table.lock[*].arn)
}
