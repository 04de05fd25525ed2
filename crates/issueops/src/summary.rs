//! What a plan would do, from `terraform show -json`.
//!
//! It exists apart from the comment so that rules can stand on it: what holds state, what changes who may do what, what
//! opens the network. Only needed fields of the plan are read; values that Terraform marks as sensitive, and those that
//! are secret by their name, never leave this module. An action that is not known is refused: a plan that cannot be
//! judged cannot be approved.

mod cost;
mod fleet;
mod value;

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

pub use cost::{Cost, PerHour, cost};
pub use fleet::{Fleet, FleetChange, FleetError, GroupAccess};

/// The most bytes of a plan's JSON that are read.
pub const PLAN_BYTES_MAX: usize = 128 * 1024 * 1024;
/// The most attributes of one resource that are shown.
const DETAILS_MAX: usize = 12;

/// What happens to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// It is destroyed.
    Destroy,
    /// It is destroyed and made again.
    Replace,
    /// Terraform forgets it; it stays and nobody manages it.
    Forget,
    /// It is changed in place.
    Update,
    /// It is made.
    Create,
    /// It is there, and Terraform takes it over.
    Import,
}

impl Effect {
    /// All, the most severe first.
    pub const ALL: [Self; 6] = [Self::Destroy, Self::Replace, Self::Forget, Self::Update, Self::Create, Self::Import];

    /// As a heading says it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Destroy => "destroyed",
            Self::Replace => "replaced",
            Self::Forget => "forgotten",
            Self::Update => "changed",
            Self::Create => "added",
            Self::Import => "imported",
        }
    }

    /// Whether something that was there is gone, or nobody's, afterwards.
    #[must_use]
    pub const fn loses(self) -> bool {
        match self {
            Self::Destroy | Self::Replace | Self::Forget => true,
            Self::Update | Self::Create | Self::Import => false,
        }
    }
}

/// What a resource is about, for who reads a plan with one worry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// Who may do what.
    Iam,
    /// What can reach what.
    Network,
    /// Neither.
    Other,
}

/// One attribute that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// Its name.
    pub attribute: String,
    /// What it was; sensitive values are hidden.
    pub before: String,
    /// What it will be; sensitive values are hidden.
    pub after: String,
}

/// One resource that a plan touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceChange {
    /// Terraform's address. Foreign text: keys of `for_each` can be anything.
    pub address: String,
    /// The resource's type.
    pub kind: String,
    /// What happens to it.
    pub effect: Effect,
    /// What it is about.
    pub area: Area,
    /// Whether it holds what cannot be made again.
    pub holds_state: bool,
    /// Whether it lets the whole internet in.
    pub is_open: bool,
    /// What changes in it, at most 12 attributes.
    pub details: Vec<Detail>,
    /// Attributes that change and are not among the details.
    pub details_more: usize,
}

/// What a plan would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Terraform's version.
    pub terraform_version: String,
    /// Resources that are touched, the gravest effect first, then by address.
    pub changes: Vec<ResourceChange>,
    /// Outputs that change.
    pub outputs: Vec<String>,
    /// What outputs say before the plan is applied, where that is a text and no secret.
    pub outputs_before: BTreeMap<String, String>,
    /// Resources that were found to differ from the state.
    pub drifted: Vec<String>,
}

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
    #[error("the plan is not complete, and what it leaves out cannot be judged; hint: do not plan with targets")]
    NotComplete,
    /// It would invoke actions of providers: they change what no resource shows.
    #[error("the plan would invoke {0} actions of providers, which show no changes and cannot be judged")]
    Invokes(usize),
    /// Its format is not known.
    #[error("the plan's format is {0:?}, format 1 is known; hint: a newer runnersmith may know it")]
    Format(String),
    /// It has an action that is not known.
    #[error("the plan would {actions:?} {address:?}, which is not known and cannot be judged")]
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
    pub fn read(json: &[u8]) -> Result<Self, PlanError> {
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

    /// How many resources have this effect.
    #[must_use]
    pub fn count(&self, effect: Effect) -> usize {
        self.changes.iter().filter(|change| change.effect == effect).count()
    }

    /// Whether applying would do nothing to resources.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Resources that hold state and would be lost: approving them needs the word `destroy`.
    pub fn losses(&self) -> impl Iterator<Item = &ResourceChange> {
        self.changes.iter().filter(|change| change.holds_state && change.effect.loses())
    }
}

impl fmt::Display for Summary {
    /// `3 added, 1 destroyed`, or `nothing changes`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = Effect::ALL.into_iter().rev().map(|effect| (self.count(effect), effect));
        let words: Vec<String> =
            counts.filter(|(n, _)| *n > 0).map(|(n, effect)| format!("{n} {}", effect.word())).collect();
        if words.is_empty() { f.write_str("nothing changes") } else { f.write_str(&words.join(", ")) }
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
    let (details, details_more) = match effect {
        Effect::Update | Effect::Replace => details(&raw.change),
        Effect::Create | Effect::Destroy | Effect::Forget | Effect::Import => (Vec::new(), 0),
    };
    let address = match &raw.deposed {
        Some(deposed) => format!("{} (deposed {deposed})", raw.address),
        None => raw.address,
    };
    Ok(Some(ResourceChange {
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

fn details(change: &RawChange) -> (Vec<Detail>, usize) {
    let empty = serde_json::Map::new();
    let object = |value: &'_ Value| value.as_object().cloned().unwrap_or_else(|| empty.clone());
    let (before, after, unknown) = (object(&change.before), object(&change.after), object(&change.after_unknown));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).chain(unknown.keys()).collect();
    names.sort();
    names.dedup();
    let is_unknown = |name: &str| unknown.get(name).is_some_and(value::has_true);
    names.retain(|name| {
        let (before, after) = (before.get(*name).unwrap_or(&Value::Null), after.get(*name).unwrap_or(&Value::Null));
        before != after || is_unknown(name)
    });
    let more = names.len().saturating_sub(DETAILS_MAX);
    let detail = |name: &String| Detail {
        attribute: name.clone(),
        before: value::shown(name, before.get(name), change.before_sensitive.get(name), &change.before_sensitive),
        after: match is_unknown(name) {
            true => "(known after apply)".to_owned(),
            false => value::shown(name, after.get(name), change.after_sensitive.get(name), &change.after_sensitive),
        },
    };
    (names.into_iter().take(DETAILS_MAX).map(detail).collect(), more)
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

/// Types whose content is gone when they are: data, keys, queued work, logs, addresses that others were told.
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
