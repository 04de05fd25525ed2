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

/// All inputs of `terraform/variables.tf`.
pub(crate) const INPUTS: &[Input] = &[
    same("alarm_topic_arns"),
    other("allowed_repositories", "takes the place of repository_white_list"),
    other("ami_filter", "an Amazon Linux 2 image warns: today's actions need a newer glibc"),
    same("ami_id_ssm_parameter_name"),
    same("ami_owners"),
    same("associate_public_ipv4_address"),
    needed("aws_region"),
    other("block_device_mappings", "a map about the root disk, not a list of disks"),
    same("capacity"),
    same("cloudwatch_config"),
    same("create_service_linked_role_spot"),
    same("custom_metrics"),
    other(
        "delay_webhook_event",
        "not needed for ephemeral runners, which are counted while they boot: it only costs time",
    ),
    same("disk_kms_key_arns"),
    same("enable_cloudwatch_agent"),
    needed("enable_organization_runners"),
    same("enable_ssm_on_runners"),
    other("encrypt_secrets", "secrets are parameters of Parameter Store, not variables of functions"),
    other("environment", "give a new name: the old state cannot be taken over, and both can run side by side"),
    same("ephemeral"),
    same("ghes_ca"),
    same("ghes_url"),
    needed("github_app"),
    same("github_webhook"),
    other("idle_config", "idle runners are launched only where register_at says where they register"),
    same("image_has_runner"),
    same("instance_profile_path"),
    same("instance_type"),
    same("instance_types"),
    same("key_name"),
    same("kms_key_id"),
    same("lambda_architecture"),
    same("lambda_s3_bucket"),
    same("lambda_security_group_ids"),
    same("lambda_subnet_ids"),
    same("log_level"),
    same("logging_retention_in_days"),
    same("manage_kms_key"),
    same("metadata_hop_limit"),
    same("minimum_running_time_in_minutes"),
    same("notify_authors"),
    same("readers"),
    same("register_at"),
    same("rerun_interrupted"),
    same("role_path"),
    same("role_permissions_boundary"),
    same("runner_additional_security_group_ids"),
    same("runner_allow_prerelease_binaries"),
    same("runner_architecture"),
    same("runner_as_root"),
    same("runner_binaries_syncer_lambda_timeout"),
    same("runner_binaries_syncer_lambda_zip"),
    same("runner_boot_time_in_minutes"),
    same("runner_disable_default_labels"),
    same("runner_ec2_tags"),
    other("runner_extra_labels", "a string with commas; write join(\",\", ...) if it is a list"),
    same("runner_group_name"),
    same("runner_hook_job_completed"),
    same("runner_hook_job_started"),
    same("runner_iam_role_managed_policy_arns"),
    other("runner_log_files", RUNNER_LOG),
    same("runner_run_as"),
    same("runners_lambda_s3_key"),
    same("runners_lambda_s3_object_version"),
    same("runners_lambda_zip"),
    same("runners_maximum_count"),
    same("runners_scale_down_lambda_timeout"),
    same("runners_scale_up_lambda_timeout"),
    same("scale_down_schedule_expression"),
    same("scale_sets"),
    same("secrets_version"),
    needed("subnet_ids"),
    same("syncer_lambda_s3_key"),
    same("syncer_lambda_s3_object_version"),
    same("tags"),
    same("userdata_after_runner"),
    other(
        "userdata_post_install",
        "it counts within runner_boot_time_in_minutes (5), as the rest of the boot: raise that where it takes long",
    ),
    same("userdata_pre_install"),
    other(
        "userdata_template",
        "a template of your own gets other variables; crates/ec2/user-data/README.md lists them",
    ),
    needed("vpc_id"),
    same("webhook_lambda_s3_key"),
    same("webhook_lambda_s3_object_version"),
    same("webhook_lambda_timeout"),
    same("webhook_lambda_zip"),
];

/// Where the runner's own log is.
pub(crate) const RUNNER_LOG: &str = "the runner's own log is /home/<runner_run_as>/actions-runner/_diag/Runner_**.log; nothing is in /opt/actions-runner or /home/runners";
pub(crate) const ZIP: &str = "a zip of Node.js is refused when planning: leave it out, or name the new zip";
pub(crate) const ZIP_KEY: &str = "must name the new zip: one of Node.js does not start";

/// What an entry of `scale_sets` can say, beside `labels`, `priority`, `market`, `allocation_strategy` and `spot_max_price`: the inputs
/// of the same name.
pub(crate) const ENTRY: &[&str] = &[
    "allowed_repositories",
    "ami_filter",
    "ami_id_ssm_parameter_name",
    "ami_owners",
    "associate_public_ipv4_address",
    "block_device_mappings",
    "cloudwatch_config",
    "delay_webhook_event",
    "enable_cloudwatch_agent",
    "enable_organization_runners",
    "enable_ssm_on_runners",
    "ephemeral",
    "idle_config",
    "image_has_runner",
    "instance_types",
    "metadata_hop_limit",
    "minimum_running_time_in_minutes",
    "notify_authors",
    "register_at",
    "rerun_interrupted",
    "runner_additional_security_group_ids",
    "runner_architecture",
    "runner_as_root",
    "runner_boot_time_in_minutes",
    "runner_disable_default_labels",
    "runner_ec2_tags",
    "runner_group_name",
    "runner_hook_job_completed",
    "runner_hook_job_started",
    "runner_iam_role_managed_policy_arns",
    "runner_log_files",
    "runner_run_as",
    "runners_maximum_count",
    "subnet_ids",
    "userdata_after_runner",
    "userdata_post_install",
    "userdata_pre_install",
    "userdata_template",
    "vpc_id",
];

/// Arguments of that module's versions that are called something else here: what to write.
pub(crate) const RENAMED: &[(&str, &str)] = &[
    ("ami", "ami_filter and ami_owners, or ami_id_ssm_parameter_name for an image by its parameter"),
    ("ami_kms_key_arn", "disk_kms_key_arns, a list of such keys: who launches needs the right to use them"),
    ("enable_ephemeral_runners", "ephemeral, which is true unless you say false"),
    ("enable_on_demand_failover_for_errors", "capacity = { market = \"spot-then-on-demand\" }"),
    ("enable_runner_on_demand_failover_for_errors", "capacity = { market = \"spot-then-on-demand\" }"),
    ("enable_userdata", "image_has_runner, its opposite: our user data always runs, and starts the image's runner"),
    ("enabled_userdata", "image_has_runner, its opposite: our user data always runs, and starts the image's runner"),
    ("ghes_ssl_verify", "ghes_ca, the authority's certificate: nothing is left unverified"),
    ("instance_allocation_strategy", "allocation_strategy in capacity"),
    ("instance_max_spot_price", "spot_max_price in capacity"),
    ("instance_target_capacity_type", "market in capacity: \"spot\", \"spot-then-on-demand\" or \"on-demand\""),
    ("instance_type_priorities", "instance_types in that order, and in capacity allocation_strategy = \"prioritized\""),
    ("kms_key_arn", "kms_key_id, which takes the ARN, and manage_kms_key = false"),
    ("lambda_tags", "tags, which are on everything"),
    ("market_options", "market in capacity: \"spot\", or \"on-demand\" in place of null"),
    ("multi_runner_config", "scale_sets: one entry for each"),
    ("parameter_store_tags", "tags, which are on everything"),
    (
        "pool_config",
        "idle_config: timeZone; idleCount, the size; cron, six fields with seconds first and a span of time, such as \"* * 8-17 * * 1-5\", not AWS's cron(…) of a moment; and register_at, where they register",
    ),
    ("pool_runner_owner", "register_at"),
    ("prefix", "environment, with a new name: both can run side by side"),
    ("repository_white_list", "allowed_repositories"),
    ("runner_binaries_s3_tags", "tags, which are on everything"),
    (
        "runner_metadata_options",
        "metadata_hop_limit; the metadata service is always on, and answers only to its version 2",
    ),
    ("runners_maxiumum_count", "runners_maximum_count"),
    ("userdata_content", "userdata_template, the path of a file that holds it"),
    ("volume_size", "block_device_mappings = { volume_size = ... }"),
];

/// Arguments of that module's versions that are not needed, and why.
pub(crate) const NOT_NEEDED: &[(&str, &str)] = &[
    ("aws_partition", "it is found out"),
    ("disable_check_wokflow_job_labels", LABELS),
    ("disable_runner_autoupdate", "every machine starts with the newest release"),
    ("enable_ami_housekeeper", HOUSEKEEPER),
    ("ami_housekeeper_cleanup_config", HOUSEKEEPER),
    ("ami_housekeeper_lambda_memory_size", HOUSEKEEPER),
    ("ami_housekeeper_lambda_s3_key", HOUSEKEEPER),
    ("ami_housekeeper_lambda_s3_object_version", HOUSEKEEPER),
    ("ami_housekeeper_lambda_schedule_expression", HOUSEKEEPER),
    ("ami_housekeeper_lambda_timeout", HOUSEKEEPER),
    ("ami_housekeeper_lambda_zip", HOUSEKEEPER),
    ("enable_enable_fifo_build_queue", FIFO),
    ("enable_event_rule_binaries_syncer", "the syncer always runs"),
    ("enable_fifo_build_queue", FIFO),
    ("enable_managed_runner_security_group", "the group is always made: nothing comes in, all goes out"),
    ("enable_jit_config", "ephemeral runners register by JIT config"),
    ("enable_job_queued_check", "a job that does not wait any more is never launched for"),
    ("enable_metrics_control_plane", METRICS),
    ("enable_runner_binaries_syncer", "the syncer always runs; its zip is needed too"),
    ("enable_runner_detailed_monitoring", "no decision needs it"),
    ("enable_runner_workflow_job_labels_check_all", LABELS),
    ("enable_user_data_debug_logging_runner", "the user data's log is always written, without secrets"),
    ("eventbridge", "deliveries go through one queue"),
    ("fifo_build_queue", FIFO),
    ("instance_termination_watcher", "interruptions are always watched"),
    ("job_queue_retention_in_seconds", "jobs are kept in the ledger, not in the queue"),
    ("job_retry", "a job that waits is looked at in every pass"),
    ("lambda_event_source_mapping_batch_size", MEMORY),
    ("lambda_event_source_mapping_maximum_batching_window_in_seconds", MEMORY),
    ("lambda_principals", "no other account calls the functions"),
    ("lambda_runtime", "the programs bring their own"),
    ("lambda_tracing_mode", TRACES),
    ("log_class", "log groups are of the standard class"),
    ("log_type", "logs are JSON"),
    ("matcher_config_parameter_store_tier", "the tier follows the size"),
    ("metrics", METRICS),
    ("metrics_namespace", METRICS),
    ("pool_include_busy_runners", "idle runners are kept beside those that work"),
    ("pool_lambda_memory_size", POOL),
    ("pool_lambda_reserved_concurrent_executions", POOL),
    ("pool_lambda_timeout", POOL),
    ("queue_encryption", "queues are encrypted by their own key; no secret is in them"),
    ("queue_selection_strategy", "the set whose labels fit best gets the job"),
    ("redrive_build_queue", "dead letters are kept and shown"),
    ("runner_binaries_s3_logging_bucket", BUCKET),
    ("runner_binaries_s3_logging_bucket_prefix", BUCKET),
    ("runner_binaries_s3_sse_configuration", BUCKET),
    ("runner_binaries_s3_versioning", BUCKET),
    ("runner_binaries_syncer_lambda_memory_size", MEMORY),
    ("runner_binaries_syncer_memory_size", MEMORY),
    ("runner_enable_workflow_job_labels_check", LABELS),
    ("runner_enable_workflow_job_labels_check_all", LABELS),
    ("runner_name_prefix", "runners are named after their scale set"),
    ("runner_os", "only Linux is supported; Windows and macOS are not"),
    ("runners_ebs_optimized", "today's instance types are optimised for EBS by default"),
    ("runners_scale_down_lambda_memory_size", MEMORY),
    ("runners_scale_up_Lambda_memory_size", MEMORY),
    ("runners_scale_up_lambda_memory_size", MEMORY),
    ("runners_ssm_housekeeper", "no hand-off outlives its use"),
    ("scale_down_lambda_memory_size", MEMORY),
    ("scale_errors", "what an error of EC2 asks for is known: another capacity pool, patience or a person"),
    ("scale_up_lambda_memory_size", MEMORY),
    ("scale_up_reserved_concurrent_executions", "two of them at once do no harm"),
    ("ssm_paths", "everything is below /runnersmith/<environment>"),
    ("state_event_rule_binaries_syncer", "the syncer always runs"),
    ("tracing_config", TRACES),
    ("user_agent", "GitHub sees the program's own name"),
    (
        "webhook_lambda_apigateway_access_log_settings",
        "the function logs each delivery, and GitHub keeps a log of them",
    ),
    ("webhook_lambda_memory_size", MEMORY),
];

const HOUSEKEEPER: &str = "images are made and deleted by those who own them; none is deleted here";
const FIFO: &str = "the order is the ledger's: oldest job first";
const LABELS: &str = "a job goes to a set that has each of its labels, as GitHub does it";
const METRICS: &str =
    "alarms are always there; custom metrics, which are paid for, are made with custom_metrics = true";
const TRACES: &str = "the functions make no traces";
const MEMORY: &str = "the module chooses it";
const POOL: &str = "there is no such function: idle runners are part of every pass";
const BUCKET: &str = "the bucket holds a public release, encrypted, and refilled when something is lost";

/// Arguments of that module's versions that say what is not supported here, unless they say nothing, and what comes nearest.
pub(crate) const UNSUPPORTED: &[(&str, &str)] = &[
    ("additional_github_apps", "one App serves an environment; each of its installations has a limit of its own"),
    ("aws_dynamic_labels_policy", DYNAMIC),
    ("ec2_dynamic_labels_policy", DYNAMIC),
    ("enable_dynamic_labels", DYNAMIC),
    (
        "enable_runner_bidirectional_label_match",
        "a runner with more labels than a job asks for may get the job, as GitHub does it",
    ),
    ("enable_workflow_job_events_queue", EVENTS),
    ("iam_overrides", "the machines' role is made here; runner_iam_role_managed_policy_arns adds to it"),
    ("logging_kms_key_id", "log groups are encrypted by CloudWatch's own key"),
    ("runner_cpu_options", MACHINE),
    ("runner_credit_specification", MACHINE),
    ("runner_egress_rules", "our group lets everything out and nothing in; a network of your own can refuse more"),
    ("runner_license_specifications", MACHINE),
    ("runner_placement", MACHINE),
    ("use_dedicated_host", MACHINE),
    ("workflow_job_queue_configuration", EVENTS),
];

const DYNAMIC: &str = "a job's labels choose a scale set, not a machine: one set for each kind of machine";
const EVENTS: &str = "no copy of the events is made; a second webhook of GitHub's can send one";
const MACHINE: &str = "the launch template does not say it";

/// Fields of an entry of `multi_runner_config` that the module itself does not have, under its names.
pub(crate) const ENTRY_ALIASES: &[(&str, &str)] = &[
    ("cpu_options", "runner_cpu_options"),
    ("credit_specification", "runner_credit_specification"),
    ("ebs_optimized", "runners_ebs_optimized"),
    ("license_specifications", "runner_license_specifications"),
    ("placement", "runner_placement"),
];

/// Parts of that module, and what to do with a block of one.
pub(crate) const PARTS: &[(&str, &str)] = &[
    ("ami-housekeeper", "take it out: images are deleted by those who own them"),
    ("download-lambda", "take it out: `cargo xtask lambda` makes the zips"),
    ("lambda", "terraform/modules/function"),
    ("runner-binaries-syncer", "terraform/modules/control-plane has it"),
    ("runners", "terraform/modules/scale-set"),
    ("setup-iam-permissions", "terraform/modules/github-oidc makes the roles of those who plan and apply"),
    ("ssm", "terraform/modules/control-plane has it"),
    ("termination-watcher", "take it out: interruptions are always watched"),
    ("webhook", "terraform/modules/control-plane"),
    ("webhook-github-app", "take it out: `runnersmith app` sets the App's webhook"),
];

/// Outputs of ours, which a block may use already.
pub(crate) const OUR_OUTPUTS: &[&str] = &[
    "alarms",
    "checks",
    "code",
    "functions",
    "labels",
    "machine_policies",
    "machine_role_arns",
    "plane",
    "plane_settings",
    "policies",
    "reader_policy",
    "reader_role_arn",
    "scale_set_policies",
    "schedules",
    "visibility_timeout",
    "webhook_endpoint",
    "webhook_secret_parameter",
];

/// Outputs of that module, by how their address begins, and ours in their place; the first that fits counts.
pub(crate) const OUTPUTS: &[(&str, &str)] = &[
    ("webhook.endpoint", "here it is webhook_endpoint"),
    ("webhook.secret", "here it is webhook_secret_parameter, the name of the parameter that holds it"),
    ("webhook.lambda", "here it is functions"),
    ("webhook", "here it is webhook_endpoint; the other parts of it are functions and policies"),
    ("ssm_parameters.webhook_secret", "here it is webhook_secret_parameter, a name"),
    ("ssm_parameters.github_app_webhook_secret", "here it is webhook_secret_parameter, a name"),
    ("ssm_parameters", "here everything is in Parameter Store, below /runnersmith/<environment>"),
    ("runners.launch_template", "the scale-set module has it"),
    ("runners.labels", "here it is labels"),
    ("runners.role_runner", "here it is machine_role_arns"),
    ("runners.lambda", "here it is functions"),
    ("runners_map", "here it is machine_role_arns, labels and checks, by scale set"),
    ("binaries_syncer.lambda", "here it is functions"),
    ("binaries_syncer_map", "here it is functions; the bucket is the control plane's"),
    ("binaries_syncer", "here it is functions; the bucket is the control plane's"),
    ("instance_termination_watcher", "here it is functions"),
    ("instance_termination_handler", "here it is functions"),
];
