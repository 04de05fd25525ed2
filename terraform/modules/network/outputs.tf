output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}

output "private_subnet_ids" {
  description = "Its private subnets, one in each zone."
  value       = aws_subnet.private[*].id
}
