# Every rule of the module, by a value that breaks it, and one plan that breaks none.

mock_provider "aws" {
  mock_data "aws_availability_zones" { defaults = { names = ["eu-west-1a", "eu-west-1b", "eu-west-1c"] } }
}

variables {
  name = "ci"
}

run "takes_what_is_right" {
  command = plan
}

run "refuses_block_that_is_no_block" {
  command = plan
  variables {
    cidr_block = "10.0.0.0"
  }
  expect_failures = [var.cidr_block]
}

run "refuses_block_of_another_size" {
  command = plan
  variables {
    cidr_block = "10.0.0.0/24"
  }
  expect_failures = [var.cidr_block]
}

run "refuses_no_zone" {
  command = plan
  variables {
    zones = 0
  }
  expect_failures = [var.zones]
}

run "refuses_seven_zones" {
  command = plan
  variables {
    zones = 7
  }
  expect_failures = [var.zones]
}
