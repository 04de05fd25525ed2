//! A plan as `terraform show -json` writes it, read into a [`Summary`].
//!
//! It exists apart from the summary so that nothing else depends on Terraform's format: the provisioner that runs Terraform
//! reads a plan here, and a plan that an earlier version has stored in this format is still read. Only needed fields are
//! read; values that Terraform marks as sensitive, and those that are secret by their name, never leave this module. An
//! action that is not known is refused: a plan that cannot be checked cannot be approved.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::{Area, Effect, Marks, ResourceChange, Summary, details, value};

/// The most bytes of a plan's JSON that are read.
pub const PLAN_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Why a plan cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It is too large.
    #[error("the plan's JSON has {0} bytes, {PLAN_BYTES_MAX} are read")]
    TooLarge(usize),
    /// It is not what `terraform show -json` writes.
    #[error("read the plan's JSON")]
    Json(#[source] serde_json::Error),
    /// It says that planning failed.
    #[error("the plan is marked as failed; hint: see what `terraform plan` said")]
    Errored,
    /// It leaves out resources.
    #[error("the plan is not complete, and what it leaves out cannot be checked; hint: do not plan with targets")]
    NotComplete,
    /// It would invoke actions of providers: they change what no resource shows.
    #[error("the plan would invoke {0} actions of providers, which show no changes and cannot be checked")]
    Invokes(usize),
    /// Its format is not known.
    #[error("the plan's format is {0:?}, format 1 is known; hint: a newer runnersmith may know it")]
    Format(String),
    /// It has an action that is not known.
    #[error("the plan would {actions:?} {address:?}, which is not known and cannot be checked")]
    Action {
        /// Which resource.
        address: String,
        /// Terraform's words.
        actions: Vec<String>,
    },
}

#[derive(Deserialize)]
struct RawPlan {
    format_version: String,
    #[serde(default)]
    terraform_version: String,
    #[serde(default)]
    resource_changes: Vec<RawResource>,
    #[serde(default)]
    resource_drift: Vec<RawResource>,
    #[serde(default)]
    output_changes: BTreeMap<String, RawOutput>,
    /// Since Terraform 1.14.
    #[serde(default)]
    action_invocations: Vec<IgnoredAny>,
    #[serde(default)]
    errored: bool,
    complete: Option<bool>,
}

#[derive(Deserialize)]
struct RawResource {
    address: String,
    #[serde(default)]
    mode: String,
    #[serde(rename = "type", default)]
    kind: String,
    change: RawChange,
    deposed: Option<String>,
}

#[derive(Deserialize)]
struct RawOutput {
    actions: Vec<String>,
    #[serde(default)]
    before: Value,
    /// `true`, or where in the value secrets are.
    #[serde(default)]
    before_sensitive: Value,
}

impl RawOutput {
    fn text_before(&self) -> Option<&str> {
        let is_open = matches!(self.before_sensitive, Value::Null | Value::Bool(false));
        self.before.as_str().filter(|_| is_open)
    }
}

#[derive(Deserialize)]
struct RawChange {
    actions: Vec<String>,
    #[serde(default)]
    before: Value,
    #[serde(default)]
    after: Value,
    #[serde(default)]
    after_unknown: Value,
    #[serde(default)]
    before_sensitive: Value,
    #[serde(default)]
    after_sensitive: Value,
    importing: Option<Value>,
}

impl Summary {
    /// Reads what `terraform show -json` wrote.
    ///
    /// # Errors
    /// When it is too large, not a plan, a failed or partial one, or has actions that are not known.
    pub fn of_show_json(json: &[u8]) -> Result<Self, PlanError> {
        if json.len() > PLAN_BYTES_MAX {
            return Err(PlanError::TooLarge(json.len()));
        }
        let raw: RawPlan = serde_json::from_slice(json).map_err(PlanError::Json)?;
        if raw.format_version.split('.').next() != Some("1") {
            return Err(PlanError::Format(raw.format_version));
        }
        if raw.errored {
            return Err(PlanError::Errored);
        }
        if raw.complete == Some(false) {
            return Err(PlanError::NotComplete);
        }
        if !raw.action_invocations.is_empty() {
            return Err(PlanError::Invokes(raw.action_invocations.len()));
        }
        let mut changes = Vec::new();
        for resource in raw.resource_changes {
            // Reading data changes nothing.
            if resource.mode == "data" {
                continue;
            }
            changes.extend(resource_change(resource)?);
        }
        changes.sort_by(|a, b| (a.effect, &a.address).cmp(&(b.effect, &b.address)));
        let before = raw.output_changes.iter();
        let before = before.filter(|(name, _)| !value::is_secret_by_name(name));
        let before = before.filter_map(|(name, change)| Some((name.clone(), change.text_before()?.to_owned())));
        let outputs_before = before.collect();
        let outputs = raw.output_changes.into_iter();
        let outputs = outputs.filter(|(_, change)| change.actions != ["no-op"]).map(|(name, _)| name).collect();
        let mut drifted: Vec<String> = raw.resource_drift.into_iter().map(|resource| resource.address).collect();
        drifted.sort();
        Ok(Self { terraform_version: raw.terraform_version, changes, outputs, outputs_before, drifted })
    }
}

fn resource_change(raw: RawResource) -> Result<Option<ResourceChange>, PlanError> {
    let actions: Vec<&str> = raw.change.actions.iter().map(String::as_str).collect();
    let effect = match actions.as_slice() {
        ["no-op"] if raw.change.importing.is_some() => Effect::Import,
        ["no-op" | "read"] => return Ok(None),
        ["create"] => Effect::Create,
        ["update"] => Effect::Update,
        ["delete"] => Effect::Destroy,
        ["delete", "create"] | ["create", "delete"] => Effect::Replace,
        ["forget"] | ["create", "forget"] => Effect::Forget,
        _ => return Err(PlanError::Action { address: raw.address, actions: raw.change.actions }),
    };
    let marks = Marks {
        unknown: raw.change.after_unknown,
        before_sensitive: raw.change.before_sensitive,
        after_sensitive: raw.change.after_sensitive,
    };
    let empty = Map::new();
    let (before, after) = (raw.change.before.as_object(), raw.change.after.as_object());
    let (details, details_more) = details(effect, before.unwrap_or(&empty), after.unwrap_or(&empty), &marks);
    let address = match &raw.deposed {
        Some(deposed) => format!("{} (deposed {deposed})", raw.address),
        None => raw.address,
    };
    let described = if effect == Effect::Destroy { &raw.change.before } else { &raw.change.after };
    Ok(Some(ResourceChange {
        is_free: is_free(&raw.kind, described),
        area: area(&raw.kind),
        holds_state: holds_state(&raw.kind),
        is_open: !matches!(effect, Effect::Destroy | Effect::Forget) && is_open(&raw.kind, &raw.change.after),
        kind: raw.kind,
        address,
        effect,
        details,
        details_more,
    }))
}

/// A gateway endpoint is free, and is what a VPC endpoint is unless it says otherwise (provider's documentation, `vpc_endpoint_type`).
fn is_free(kind: &str, described: &Value) -> bool {
    kind == "aws_vpc_endpoint" && matches!(described["vpc_endpoint_type"].as_str(), None | Some("Gateway"))
}

fn area(kind: &str) -> Area {
    let begins = |starts: &[&str]| starts.iter().any(|start| kind.starts_with(start));
    let ends = |ends: &[&str]| ends.iter().any(|end| kind.ends_with(end));
    if begins(&["aws_iam_", "aws_lambda_permission", "aws_kms_grant", "aws_ram_", "aws_organizations_"])
        || ends(&["_policy", "_policy_attachment", "_public_access_block", "_acl"]) && !kind.contains("network_acl")
    {
        return Area::Iam;
    }
    let network = [
        "aws_security_group",
        "aws_vpc",
        "aws_subnet",
        "aws_route",
        "aws_nat_gateway",
        "aws_internet_gateway",
        "aws_egress_only",
        "aws_network_acl",
        "aws_eip",
        "aws_lb",
        "aws_alb",
        "aws_elb",
        "aws_apigateway",
        "aws_api_gateway",
        "aws_lambda_function_url",
        "aws_ec2_transit_gateway",
        "aws_default_",
    ];
    if begins(&network) { Area::Network } else { Area::Other }
}

/// Types whose content is gone when they are: data, keys, queued work, logs, addresses that others know.
fn holds_state(kind: &str) -> bool {
    const KINDS: [&str; 24] = [
        "aws_apigatewayv2_api",
        "aws_backup_vault",
        "aws_cloudwatch_log_group",
        "aws_db_instance",
        "aws_docdb_cluster",
        "aws_dynamodb_global_table",
        "aws_dynamodb_table",
        "aws_dynamodb_table_item",
        "aws_ebs_volume",
        "aws_ecr_repository",
        "aws_efs_file_system",
        "aws_eip",
        "aws_elasticache_cluster",
        "aws_fsx_lustre_file_system",
        "aws_kinesis_stream",
        "aws_kms_external_key",
        "aws_kms_key",
        "aws_lambda_function_url",
        "aws_rds_cluster",
        "aws_s3_bucket",
        "aws_s3_object",
        "aws_secretsmanager_secret",
        "aws_sqs_queue",
        "aws_ssm_parameter",
    ];
    KINDS.contains(&kind)
}

/// Whether an ingress rule names the whole internet.
fn is_open(kind: &str, after: &Value) -> bool {
    let is_world = |value: &Value| value::any_text(value, &|text| matches!(text, "0.0.0.0/0" | "::/0"));
    match kind {
        "aws_vpc_security_group_ingress_rule" => is_world(after),
        "aws_security_group_rule" => after["type"] == "ingress" && is_world(after),
        "aws_security_group" | "aws_default_security_group" => is_world(&after["ingress"]),
        _ => false,
    }
}
