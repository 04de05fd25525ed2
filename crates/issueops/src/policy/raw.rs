//! The policy file as it is written, and the way from there to a checked policy. Nothing raw leaves this module.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;

use super::place::{is_inside, is_relative, package, wrong_place};
use super::{
    AppSecretNames, ApprovalRules, BYTES_MAX, Backend, EnvironmentShape, MicroDollars, Network, PlanBy, Policy,
    PolicyError, RunnerRules, StateLock, VERSION, WebhookTarget, Zips,
};
use crate::words::{AmiOwner, GroupName, InstanceType, LabelName, NotAName, Organization, Region, is_word, shown};

/// The most entries of any list in the file.
const ENTRIES_MAX: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicy {
    version: u32,
    folder: Option<String>,
    archive_folder: Option<String>,
    shape: Option<String>,
    plane_path: Option<String>,
    module_source: String,
    ghes_url: Option<String>,
    ghes_ca: Option<String>,
    organizations: Vec<String>,
    #[serde(default, rename = "network")]
    networks: Vec<RawNetwork>,
    backend: RawBackend,
    #[serde(default)]
    runners: RawRunners,
    #[serde(default)]
    approval: RawApproval,
    #[serde(default)]
    app_secrets: RawAppSecrets,
    #[serde(default)]
    webhook: RawWebhook,
    #[serde(default)]
    zips: RawZips,
    #[serde(default)]
    prices: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNetwork {
    region: String,
    vpc_id: String,
    subnet_ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBackend {
    bucket: String,
    region: String,
    key_prefix: Option<String>,
    dynamodb_table: Option<String>,
    kms_key_id: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRunners {
    maximum: Option<u32>,
    floor_maximum: Option<u32>,
    groups: Option<Vec<String>>,
    common_labels: Option<Vec<String>>,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    label_prefixes: Vec<String>,
    instance_types: Option<Vec<String>>,
    ami_owners: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApproval {
    team: Option<String>,
    author_may_approve: Option<bool>,
    plain_approve: Option<bool>,
    plan_by: Option<String>,
    plan_expiry_hours: Option<u64>,
    delete_wait_hours: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAppSecrets {
    id: Option<String>,
    key_base64: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhook {
    set: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawZips {
    webhook: Option<String>,
    runners: Option<String>,
    syncer: Option<String>,
}

/// Collects what is wrong.
struct Wrong(Vec<String>);

impl Wrong {
    fn add(&mut self, field: &str, given: &str, rule: &str) {
        self.0.push(format!("{field}: {:?} is not {rule}", shown(given)));
    }

    fn text(&mut self, field: &str, given: String, rule: &str, check: impl Fn(&str) -> bool) -> String {
        if !check(&given) {
            self.add(field, &given, rule);
        }
        given
    }

    fn name<T>(&mut self, field: &str, given: &str, parse: impl Fn(&str) -> Result<T, NotAName>) -> Option<T> {
        parse(given).map_err(|error| self.0.push(format!("{field}: {error}"))).ok()
    }

    fn entries(&mut self, field: &str, given: usize) {
        if given > ENTRIES_MAX {
            self.0.push(format!("{field}: {given} entries, {ENTRIES_MAX} are allowed"));
        }
    }

    fn names<T>(&mut self, field: &str, given: &[String], parse: impl Fn(&str) -> Result<T, NotAName>) -> Vec<T> {
        self.entries(field, given.len());
        given.iter().take(ENTRIES_MAX).filter_map(|text| self.name(field, text, &parse)).collect()
    }

    fn number<T: PartialOrd + std::fmt::Display + Copy>(&mut self, field: &str, given: T, least: T, most: T) -> T {
        if given < least || given > most {
            self.0.push(format!("{field}: {given} is not from {least} to {most}"));
        }
        given
    }
}

fn owned(list: Option<Vec<String>>, default: &[&str]) -> Vec<String> {
    list.unwrap_or_else(|| default.iter().map(ToString::to_string).collect())
}

fn is_path(text: &str) -> bool {
    text.len() <= 100 && text.split('/').all(|part| is_word(part, 60, "-_.") && !part.starts_with('.'))
}

/// What may stand in an HCL string and be a module's address: no quote, no backslash, no `$`, no `%`, no brace.
fn is_source(text: &str) -> bool {
    is_word(text, 300, "-_./:?=&@~+")
}

fn is_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| is_word(rest, 40, ""))
}

fn is_secret_name(text: &str) -> bool {
    is_word(text, 100, "_") && !text.starts_with(|c: char| c.is_ascii_digit())
}

fn is_zip(text: &str) -> bool {
    is_word(text, 200, "-_./") && text.ends_with(".zip")
}

/// Certificates, and nothing that could be more than text: a parameter of 4 KB keeps them.
fn is_pem(text: &str) -> bool {
    let text = text.trim();
    text.len() <= 4_000
        && text.starts_with("-----BEGIN CERTIFICATE-----")
        && text.ends_with("-----END CERTIFICATE-----")
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+/=- \n\r".contains(c))
}

/// `https://`, a host and perhaps a port; nothing behind.
fn is_server(text: &str) -> bool {
    text.strip_prefix("https://").is_some_and(|host| is_word(host, 250, "-.:"))
}

impl Policy {
    /// Reads the policy file's text.
    ///
    /// # Errors
    /// When it is not TOML of the known form, or has values that cannot be used; the error lists all of those.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > BYTES_MAX {
            return Err(PolicyError::TooLarge(text.len()));
        }
        let raw: RawPolicy = toml::from_str(text).map_err(|error| PolicyError::Toml(Box::new(error)))?;
        raw.check().map_err(PolicyError::Values)
    }
}

impl RawPolicy {
    fn check(self) -> Result<Policy, Vec<String>> {
        let mut wrong = Wrong(Vec::new());
        if self.version != VERSION {
            wrong.0.push(format!("version: {} is not {VERSION}, which is what this program knows", self.version));
        }
        let path_rule = "a path of names without dots at their beginning, such as actions-runner-envs";
        let default = |given: Option<String>, default: &str| given.unwrap_or_else(|| default.to_owned());
        let folder = wrong.text("folder", default(self.folder, "actions-runner-envs"), path_rule, is_path);
        let archive_folder = wrong.text(
            "archive_folder",
            default(self.archive_folder, "actions-runner-envs-archive"),
            path_rule,
            is_path,
        );
        if is_inside(&archive_folder, &folder) || is_inside(&folder, &archive_folder) {
            wrong.0.push("archive_folder: may not be folder, in it or around it".to_owned());
        }
        let shape = shape(self.shape.as_deref(), self.plane_path, &mut wrong);
        let module_source = wrong.text(
            "module_source",
            self.module_source,
            "a module's address without quotes, `$`, `%` or braces",
            is_source,
        );
        if let Some(package) = package(&module_source)
            && let Some(rule) = wrong_place(package, &folder, &archive_folder)
        {
            wrong.add("module_source", &module_source, &rule);
        }
        if let Some(pem) = &self.ghes_ca
            && !is_pem(pem)
        {
            wrong.add("ghes_ca", pem, "PEM certificates of at most 4,000 characters");
        }
        if let Some(url) = &self.ghes_url
            && !is_server(url)
        {
            wrong.add("ghes_url", url, "an address such as https://github.example.com");
        }
        let organizations = wrong.names("organizations", &self.organizations, Organization::parse);
        if organizations.is_empty() {
            wrong.0.push("organizations: at least one is needed".to_owned());
        }
        let networks = networks(self.networks, &mut wrong);
        let backend = backend(self.backend, &folder, &mut wrong);
        let runners = runners(self.runners, &mut wrong);
        let approval = approval(self.approval, &mut wrong);
        let app = app(self.app_secrets, &mut wrong);
        let webhook = webhook(self.webhook, &shape, &mut wrong);
        let zips = zips(self.zips, (&folder, &archive_folder), &mut wrong);
        let mut prices = BTreeMap::new();
        for (name, price) in self.prices {
            let Some(name) = wrong.name("prices", &name, InstanceType::parse) else { continue };
            match MicroDollars::parse(&price) {
                Some(price) => drop(prices.insert(name, price)),
                None => wrong.add(&format!("prices.{name}"), &price, "dollars per hour as text, such as \"0.096\""),
            }
        }
        match backend {
            Some(backend) if wrong.0.is_empty() => Ok(Policy {
                folder,
                archive_folder,
                shape,
                module_source,
                ghes_url: self.ghes_url,
                ghes_ca: self.ghes_ca.map(|pem| format!("{}\n", pem.trim())),
                organizations,
                networks,
                backend,
                runners,
                approval,
                app,
                webhook,
                zips,
                prices,
            }),
            _ => Err(wrong.0),
        }
    }
}

fn shape(word: Option<&str>, plane_path: Option<String>, wrong: &mut Wrong) -> EnvironmentShape {
    match (word.unwrap_or("own-stack"), plane_path) {
        ("own-stack", None) => EnvironmentShape::OwnStack,
        ("shared-plane", Some(plane_path)) => {
            let rule = "an SSM path such as /runnersmith/plane";
            let check = |t: &str| t.strip_prefix('/').is_some_and(is_path);
            EnvironmentShape::SharedPlane { plane_path: wrong.text("plane_path", plane_path, rule, check) }
        }
        ("own-stack", Some(path)) => {
            wrong.add("plane_path", &path, "of use for shape own-stack; leave it out");
            EnvironmentShape::OwnStack
        }
        ("shared-plane", None) => {
            wrong.0.push("plane_path: shape shared-plane needs it".to_owned());
            EnvironmentShape::OwnStack
        }
        (other, _) => {
            wrong.add("shape", other, "own-stack or shared-plane");
            EnvironmentShape::OwnStack
        }
    }
}

fn networks(raw: Vec<RawNetwork>, wrong: &mut Wrong) -> Vec<Network> {
    let mut networks: Vec<Network> = Vec::new();
    if raw.is_empty() {
        wrong.0.push("network: at least one is needed".to_owned());
    }
    wrong.entries("network", raw.len());
    for one in raw.into_iter().take(ENTRIES_MAX) {
        let vpc_id = wrong.text("network.vpc_id", one.vpc_id, "a VPC's id such as vpc-0a1b2c3d", |t| is_id(t, "vpc-"));
        if one.subnet_ids.is_empty() {
            wrong.0.push("network.subnet_ids: at least one is needed".to_owned());
        }
        wrong.entries("network.subnet_ids", one.subnet_ids.len());
        let rule = "a subnet's id such as subnet-0a1b2c3d";
        let subnet_ids = one.subnet_ids.into_iter().take(ENTRIES_MAX);
        let subnet_ids =
            subnet_ids.map(|id| wrong.text("network.subnet_ids", id, rule, |t| is_id(t, "subnet-"))).collect();
        let Some(region) = wrong.name("network.region", &one.region, Region::parse) else { continue };
        if networks.iter().any(|other| other.region == region) {
            wrong.0.push(format!("network.region: {region} is there twice"));
        }
        networks.push(Network { region, vpc_id, subnet_ids });
    }
    networks
}

fn backend(raw: RawBackend, folder: &str, wrong: &mut Wrong) -> Option<Backend> {
    let rule = "a bucket's name: 3 to 63 lower-case letters, digits, hyphens or dots";
    let bucket = wrong.text("backend.bucket", raw.bucket, rule, |t| {
        t.len() >= 3 && is_word(t, 63, "-.") && !t.chars().any(|c| c.is_ascii_uppercase())
    });
    let key_prefix = raw.key_prefix.unwrap_or_else(|| folder.to_owned());
    let key_prefix = wrong.text("backend.key_prefix", key_prefix, "a path of names, such as states/runners", is_path);
    let lock = match raw.dynamodb_table {
        None => StateLock::S3,
        Some(table) => StateLock::DynamoDb(wrong.text(
            "backend.dynamodb_table",
            table,
            "a table's name: 3 to 255 letters, digits, hyphens, underscores or dots",
            |t| t.len() >= 3 && is_word(t, 255, "-_."),
        )),
    };
    let kms_key_id =
        raw.kms_key_id.map(|id| wrong.text("backend.kms_key_id", id, "a key's id or ARN", |t| is_word(t, 200, "-_:/")));
    let region = wrong.name("backend.region", &raw.region, Region::parse)?;
    Some(Backend { bucket, region, key_prefix, lock, kms_key_id })
}

fn runners(raw: RawRunners, wrong: &mut Wrong) -> RunnerRules {
    // The philips-labs module's advice. GitHub takes 10,000 runners in a group.
    let maximum = wrong.number("runners.maximum", raw.maximum.unwrap_or(10), 1, 10_000);
    let floor_maximum = wrong.number("runners.floor_maximum", raw.floor_maximum.unwrap_or(maximum), 0, maximum);
    let groups = owned(raw.groups, &["Default"]);
    let any_group = groups.iter().any(|group| group == "*");
    let groups: Vec<String> = groups.into_iter().filter(|group| group != "*").collect();
    let types = owned(raw.instance_types, &["m5.large"]);
    let owners = owned(raw.ami_owners, &["amazon"]);
    for (field, is_empty) in [
        ("runners.groups", groups.is_empty() && !any_group),
        ("runners.instance_types", types.is_empty()),
        ("runners.ami_owners", owners.is_empty()),
    ] {
        if is_empty {
            wrong.0.push(format!("{field}: at least one is needed"));
        }
    }
    RunnerRules {
        maximum,
        floor_maximum,
        groups: wrong.names("runners.groups", &groups, GroupName::parse),
        any_group,
        common_labels: wrong.names(
            "runners.common_labels",
            &owned(raw.common_labels, &["auto-scale", "aws"]),
            LabelName::parse,
        ),
        labels: wrong.names("runners.labels", &raw.labels, LabelName::parse).into_iter().collect::<BTreeSet<_>>(),
        label_prefixes: wrong.names("runners.label_prefixes", &raw.label_prefixes, LabelName::parse),
        instance_types: wrong.names("runners.instance_types", &types, InstanceType::parse),
        ami_owners: wrong.names("runners.ami_owners", &owners, AmiOwner::parse),
    }
}

fn approval(raw: RawApproval, wrong: &mut Wrong) -> ApprovalRules {
    let plan_by = match raw.plan_by.as_deref().unwrap_or("authors-and-writers") {
        "writers" => PlanBy::Writers,
        "authors-and-writers" => PlanBy::AuthorsAndWriters,
        other => {
            wrong.add("approval.plan_by", other, "writers or authors-and-writers");
            PlanBy::Writers
        }
    };
    let hours = |wrong: &mut Wrong, field, given: Option<u64>, default| {
        Duration::from_secs(wrong.number(field, given.unwrap_or(default), 1, 24 * 30) * 3600)
    };
    let team = raw.team.map(|team| wrong.text("approval.team", team, "a team's slug", |t| is_word(t, 100, "-_")));
    ApprovalRules {
        team,
        author_may_approve: raw.author_may_approve.unwrap_or(false),
        plain_approve: raw.plain_approve.unwrap_or(true),
        plan_by,
        plan_expiry: hours(wrong, "approval.plan_expiry_hours", raw.plan_expiry_hours, 24),
        delete_wait: hours(wrong, "approval.delete_wait_hours", raw.delete_wait_hours, 6),
    }
}

fn app(raw: RawAppSecrets, wrong: &mut Wrong) -> AppSecretNames {
    let mut name = |field: &str, given: Option<String>, default: &str| {
        let field = format!("app_secrets.{field}");
        let given = given.unwrap_or_else(|| default.to_owned());
        wrong.text(&field, given, "a secret's name: letters, digits or underscores", is_secret_name)
    };
    AppSecretNames {
        id: name("id", raw.id, "APP_ID"),
        key_base64: name("key_base64", raw.key_base64, "APP_KEY_BASE64"),
        client_id: name("client_id", raw.client_id, "APP_CLIENT_ID"),
        client_secret: name("client_secret", raw.client_secret, "APP_CLIENT_SECRET"),
    }
}

fn webhook(raw: RawWebhook, shape: &EnvironmentShape, wrong: &mut Wrong) -> WebhookTarget {
    let word = raw.set.as_deref().unwrap_or("none");
    let set = match word {
        "none" => WebhookTarget::None,
        "app" => WebhookTarget::App,
        "organization" => WebhookTarget::Organization,
        other => {
            wrong.add("webhook.set", other, "none, app or organization");
            WebhookTarget::None
        }
    };
    if set != WebhookTarget::None && !matches!(shape, EnvironmentShape::OwnStack) {
        wrong.add("webhook.set", word, "of use for shape shared-plane, which has its own webhook; leave it out");
    }
    set
}

fn zips(raw: RawZips, (folder, archive_folder): (&str, &str), wrong: &mut Wrong) -> Zips {
    let mut zip = |field: &str, given: Option<String>| {
        let (field, zip) = (format!("zips.{field}"), given?);
        let zip = wrong.text(&field, zip, "a path of a .zip", is_zip);
        if is_relative(&zip)
            && let Some(rule) = wrong_place(&zip, folder, archive_folder)
        {
            wrong.add(&field, &zip, &rule);
        }
        Some(zip)
    };
    Zips {
        webhook: zip("webhook", raw.webhook),
        runners: zip("runners", raw.runners),
        syncer: zip("syncer", raw.syncer),
    }
}
