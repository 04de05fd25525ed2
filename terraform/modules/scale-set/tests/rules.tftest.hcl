# Every rule of the module, by a value that breaks it, and one plan that breaks none.

mock_provider "aws" {
  mock_data "aws_caller_identity" { defaults = { account_id = "123456789012" } }
  mock_data "aws_partition" { defaults = { partition = "aws" } }
  mock_data "aws_region" { defaults = { id = "eu-west-1", name = "eu-west-1" } }
  mock_data "aws_ami" { defaults = { id = "ami-12345678" } }
  mock_data "aws_subnet" { defaults = { id = "subnet-1", availability_zone = "eu-west-1a" } }
}

variables {
  plane = {
    environment         = "ci"
    name                = "runnersmith-ci"
    path                = "/runnersmith/ci"
    has_key             = false
    distribution_bucket = "bucket"
    distribution_prefix = "dist"
  }
  name    = "ci"
  labels  = ["self-hosted", "ci"]
  network = { vpc_id = "vpc-1", subnet_ids = ["subnet-1"] }
}

run "takes_what_is_right" {
  command = plan
}

run "refuses_name_with_a_blank" {
  command = plan
  variables {
    name = "a b"
  }
  expect_failures = [var.name]
}

run "refuses_name_that_is_too_long" {
  command = plan
  variables {
    name = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  }
  expect_failures = [var.name]
}

run "refuses_no_labels" {
  command = plan
  variables {
    labels = []
  }
  expect_failures = [var.labels]
}

run "refuses_label_with_a_comma" {
  command = plan
  variables {
    labels = ["a,b"]
  }
  expect_failures = [var.labels]
}

run "refuses_empty_label" {
  command = plan
  variables {
    labels = [" "]
  }
  expect_failures = [var.labels]
}

run "refuses_unknown_level" {
  command = plan
  variables {
    scope = { level = "team" }
  }
  expect_failures = [var.scope]
}

# GitHub lets no App register an enterprise's runners.
run "refuses_the_level_of_an_enterprise" {
  command = plan
  variables {
    scope = { level = "enterprise", at = "big-corp" }
  }
  expect_failures = [var.scope]
}

run "refuses_unknown_architecture" {
  command = plan
  variables {
    runner = { architecture = "mips" }
  }
  expect_failures = [var.runner]
}

run "refuses_maximum_of_none" {
  command = plan
  variables {
    runner = { maximum = 0 }
  }
  expect_failures = [var.runner]
}

run "refuses_maximum_that_is_no_whole_number" {
  command = plan
  variables {
    runner = { maximum = 1.5 }
  }
  expect_failures = [var.runner]
}

run "refuses_cron_of_five_fields" {
  command = plan
  variables {
    runner = { idle_config = [{ cron = "* * * * *", timeZone = "UTC", idleCount = 1 }] }
  }
  expect_failures = [var.runner]
}

run "refuses_negative_floor" {
  command = plan
  variables {
    runner = { idle_config = [{ cron = "* * * * * *", timeZone = "UTC", idleCount = -1 }] }
  }
  expect_failures = [var.runner]
}

run "refuses_no_instance_type" {
  command = plan
  variables {
    machine = { instance_types = [] }
  }
  expect_failures = [var.machine]
}

run "refuses_word_that_is_no_instance_type" {
  command = plan
  variables {
    machine = { instance_types = ["large"] }
  }
  expect_failures = [var.machine]
}

run "refuses_unknown_capacity" {
  command = plan
  variables {
    machine = { capacity = "reserved" }
  }
  expect_failures = [var.machine]
}

run "refuses_unknown_allocation_strategy" {
  command = plan
  variables {
    machine = { allocation_strategy = "cheap" }
  }
  expect_failures = [var.machine]
}

run "refuses_hop_limit_of_three" {
  command = plan
  variables {
    machine = { metadata_hop_limit = 3 }
  }
  expect_failures = [var.machine]
}

run "refuses_snippet_that_ends_itself" {
  command = plan
  variables {
    user_data = { job_started = "RUNNERSMITH_SNIPPET\nreboot" }
  }
  expect_failures = [var.user_data]
}

run "refuses_no_subnet" {
  command = plan
  variables {
    network = { vpc_id = "vpc-1", subnet_ids = [] }
  }
  expect_failures = [var.network]
}

run "refuses_agent_configuration_that_is_no_json" {
  command = plan
  variables {
    log = { config = "{" }
  }
  expect_failures = [var.log]
}

run "refuses_user_data_over_16_kb" {
  command = plan
  variables {
    user_data = { pre_install = join("", [for n in range(1000) : "echo 01234567890123"]) }
  }
  expect_failures = [aws_launch_template.this]
}

run "refuses_types_of_another_architecture" {
  command = plan
  variables {
    runner = { architecture = "arm64" }
  }
  expect_failures = [aws_launch_template.this]
}

run "refuses_one_type_of_another_architecture" {
  command = plan
  variables {
    machine = { instance_types = ["g5.xlarge", "g4dn.xlarge", "m5.large", "x2gd.large"] }
  }
  expect_failures = [aws_launch_template.this]
}

run "takes_types_of_graviton" {
  command = plan
  variables {
    runner  = { architecture = "arm64" }
    machine = { instance_types = ["a1.large", "m7g.large", "c7gn.xlarge", "im4gn.large", "is4gen.large", "x2gd.large", "g5g.xlarge", "t4g.small", "r8gd.large"] }
  }
}

run "takes_types_with_a_g_that_are_not_graviton" {
  command = plan
  variables {
    machine = { instance_types = ["g5.xlarge", "g4dn.xlarge", "g6e.xlarge", "m6i.large", "p5en.48xlarge"] }
  }
}

run "refuses_idle_config_of_eventbridge" {
  command = plan
  variables {
    runner = { idle_config = [{ cron = "cron(* 8-18 * * ? 1-5)", timeZone = "UTC", idleCount = 1 }] }
  }
  expect_failures = [var.runner]
}

run "refuses_image_parameter_with_a_blank" {
  command = plan
  variables {
    machine = { ami_parameter = "my image" }
  }
  expect_failures = [var.machine]
}

run "refuses_boot_time_of_none" {
  command = plan
  variables {
    machine = { boot_minutes = 0 }
  }
  expect_failures = [var.machine]
}

run "refuses_user_with_a_quote" {
  command = plan
  variables {
    machine = { user = "a'b" }
  }
  expect_failures = [var.machine]
}
