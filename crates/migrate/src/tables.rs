//! What is known of arguments: ours, and those of the other module's later versions.

/// An input of ours.
pub(crate) struct Input {
    /// Its name.
    pub name: &'static str,
    /// Whether it must be given.
    pub is_required: bool,
    /// What is different though the name is the same; empty: nothing.
    pub note: &'static str,
}

const fn same(name: &'static str) -> Input {
    Input { name, is_required: false, note: "" }
}

const fn needed(name: &'static str) -> Input {
    Input { name, is_required: true, note: "" }
}

const fn other(name: &'static str, note: &'static str) -> Input {
    Input { name, is_required: false, note }
}

const ZIP: &str = "a zip of Node.js is refused when planning: leave it out, or name the new zip";
const ZIP_KEY: &str = "the object must be the new zip: a zip of Node.js does not start";

/// All inputs of `terraform/variables.tf`.
pub(crate) const INPUTS: &[Input] = &[
    same("alarm_topic_arns"),
    other("allowed_repositories", "takes the place of repository_white_list"),
    other("ami_filter", "an Amazon Linux 2 image warns: today's actions need a newer glibc"),
    same("ami_owners"),
    needed("aws_region"),
    other(
        "block_device_mappings",
        "a map about the root disk; later versions take a list of disks, of which give the first",
    ),
    same("capacity"),
    same("cloudwatch_config"),
    same("create_service_linked_role_spot"),
    same("custom_metrics"),
    other("delay_webhook_event", "there is no delay for ephemeral runners: it only costs time"),
    same("disk_kms_key_arns"),
    same("enable_cloudwatch_agent"),
    needed("enable_organization_runners"),
    same("enable_ssm_on_runners"),
    other("encrypt_secrets", "secrets are parameters of Parameter Store, not variables of functions"),
    other("environment", "give a new name: the old state cannot be taken over, and both can run side by side"),
    same("ephemeral"),
    same("ghes_ca"),
    same("ghes_url"),
    Input { name: "github_app", is_required: true, note: "client_id and client_secret may go" },
    same("github_webhook"),
    other("idle_config", "the floor is kept at register_at, which must be given for it"),
    same("instance_profile_path"),
    same("instance_type"),
    same("instance_types"),
    same("key_name"),
    same("kms_key_id"),
    same("lambda_architecture"),
    same("lambda_s3_bucket"),
    same("lambda_security_group_ids"),
    same("lambda_subnet_ids"),
    same("logging_retention_in_days"),
    same("manage_kms_key"),
    same("minimum_running_time_in_minutes"),
    same("register_at"),
    same("readers"),
    same("role_path"),
    same("role_permissions_boundary"),
    same("runner_additional_security_group_ids"),
    same("runner_allow_prerelease_binaries"),
    same("runner_architecture"),
    same("runner_as_root"),
    same("runner_binaries_syncer_lambda_timeout"),
    other("runner_binaries_syncer_lambda_zip", ZIP),
    other("runner_extra_labels", "a string with commas; write join(\",\", ...) around a list"),
    same("runner_group_name"),
    same("runner_iam_role_managed_policy_arns"),
    same("runner_log_files"),
    other("runners_lambda_s3_key", ZIP_KEY),
    same("runners_lambda_s3_object_version"),
    other("runners_lambda_zip", ZIP),
    same("runners_maximum_count"),
    same("runners_scale_down_lambda_timeout"),
    same("runners_scale_up_lambda_timeout"),
    same("scale_down_schedule_expression"),
    same("scale_sets"),
    same("secrets_version"),
    needed("subnet_ids"),
    other("syncer_lambda_s3_key", ZIP_KEY),
    same("syncer_lambda_s3_object_version"),
    same("tags"),
    same("userdata_post_install"),
    same("userdata_pre_install"),
    other(
        "userdata_template",
        "a template of your own gets other variables; crates/ec2/user-data/README.md lists them",
    ),
    needed("vpc_id"),
    other("webhook_lambda_s3_key", ZIP_KEY),
    same("webhook_lambda_s3_object_version"),
    same("webhook_lambda_timeout"),
    other("webhook_lambda_zip", ZIP),
];

/// Arguments of that module's later versions: what to write here.
pub(crate) const RENAMED: &[(&str, &str)] = &[
    ("ami", "ami_filter and ami_owners; an image by its id or parameter cannot be named, its name can"),
    ("enable_ephemeral_runners", "ephemeral, which is true unless you say false"),
    ("enable_user_data_debug_logging_runner", "nothing; the user data's log is always written, without secrets"),
    ("enable_on_demand_failover_for_errors", "capacity = { market = \"spot-then-on-demand\" }"),
    ("ghes_ssl_verify", "ghes_ca, the authority's certificate: nothing is left unverified"),
    ("instance_allocation_strategy", "capacity, which has the allocation strategy"),
    ("instance_max_spot_price", "capacity, which has the highest price"),
    ("instance_target_capacity_type", "capacity = { market = \"on-demand\" } or \"spot\""),
    ("kms_key_arn", "kms_key_id, which takes the ARN, and manage_kms_key = false"),
    ("market_options", "capacity = { market = \"spot\" }, or \"on-demand\" in place of null"),
    ("multi_runner_config", "scale_sets: one entry for each, with its labels"),
    ("pool_config", "idle_config, with the count as idleCount"),
    ("prefix", "environment"),
    ("repository_white_list", "allowed_repositories"),
    ("runner_egress_rules", "nothing, or runner_additional_security_group_ids beside the open group of ours"),
    ("userdata_content", "userdata_template, a file"),
    ("volume_size", "block_device_mappings = { volume_size = ... }"),
];

/// Arguments of that module's later versions that are not needed, and why.
pub(crate) const NOT_NEEDED: &[(&str, &str)] = &[
    ("associate_public_ipv4_address", "the subnet decides"),
    ("aws_partition", "it is found out"),
    ("disable_runner_autoupdate", "every machine starts with the newest release"),
    ("enable_fifo_build_queue", "the order is the ledger's: oldest job first"),
    ("enable_jit_config", "ephemeral runners always register by JIT config"),
    ("enable_job_queued_check", "a job that does not wait any more is never launched for"),
    ("enable_runner_binaries_syncer", "the newest release is always kept in the bucket"),
    ("enable_runner_detailed_monitoring", "the planner does not use it"),
    ("enable_userdata", "an image that has the runner is declared by the scale-set module's image_has_runner"),
    ("eventbridge", "deliveries go through one queue"),
    ("instance_termination_watcher", "interruptions are always watched"),
    ("job_queue_retention_in_seconds", "jobs are kept in the ledger, not in the queue"),
    ("job_retry", "a job that waits is looked at in every pass"),
    ("lambda_principals", "no other account calls the functions"),
    ("lambda_runtime", "the programs bring their own"),
    ("log_level", "info; the control-plane module has it as log.level"),
    ("queue_encryption", "queues are encrypted by their own key; no secret is in them"),
    ("redrive_build_queue", "dead letters are kept and shown"),
    ("runner_boot_time_in_minutes", "a machine ends itself when its runner does not come"),
    ("runner_name_prefix", "runners are named after their scale set"),
    ("runners_ssm_housekeeper", "no hand-off outlives its use"),
    ("scale_up_reserved_concurrent_executions", "two of them at once do no harm"),
    ("ssm_paths", "everything is below /runnersmith/<environment>"),
    ("state_event_rule_binaries_syncer", "the syncer always runs"),
    ("tracing_config", "durations are metrics"),
];

/// Outputs of that module, by how their address begins, and ours in their place.
pub(crate) const OUTPUTS: &[(&str, &str)] = &[
    ("webhook.endpoint", "webhook_endpoint"),
    ("webhook.secret", "webhook_secret_parameter, the name of the parameter that holds it"),
    ("runners.launch_template", "plane, or the scale-set module's outputs"),
    ("runners.role_runner", "machine_role_arns"),
    ("runners.lambda", "functions"),
    ("binaries_syncer.lambda", "functions"),
    ("webhook.lambda", "functions"),
];
