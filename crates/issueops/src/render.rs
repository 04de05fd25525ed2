//! An environment's folder, from a request and the policy.
//!
//! It exists apart so that one rule can be seen to hold: **no value leaves `terraform.tfvars.json`**. Terraform reads the
//! strings of that file literally; every HCL file is fixed text but for the module's address, which is the policy's and is
//! checked there. Beside the variables, only the environment's name and its labels are written (in the state's key, the
//! README and the example workflow); both are words of ASCII letters, digits, `-`, `_` and `.`.
//!
//! The same request gives the same bytes, so a folder that somebody edited is found by comparing.

mod text;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::policy::{Backend, EnvironmentShape, Policy, StateLock};
use crate::request::SetRequest;
use crate::words::{EnvironmentName, LabelName};

pub use text::example_workflow;

/// The file that holds every value of the request.
pub const VALUES_FILE: &str = "terraform.tfvars.json";
/// The file that says where the state is.
pub const BACKEND_FILE: &str = "backend.tf.json";
/// The file that the provider versions are locked in. Terraform writes it; it is no part of what is compared.
pub const LOCK_FILE: &str = ".terraform.lock.hcl";

/// Files by their path in the control repository.
pub type RenderedFiles = BTreeMap<String, String>;

/// One period in which idle runners are kept, as the philips-labs module's `idle_config` has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Idle {
    cron: &'static str,
    time_zone: &'static str,
    idle_count: u32,
}

/// The Terraform inputs that a request decides. The order of fields is the order in the file.
#[derive(Serialize)]
struct Values<'a> {
    ami_filter: BTreeMap<&'static str, Vec<&'a str>>,
    ami_owners: Vec<&'a str>,
    aws_region: &'a str,
    enable_organization_runners: bool,
    environment: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ghes_ca: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ghes_url: Option<Option<&'a str>>,
    idle_config: Vec<Idle>,
    instance_type: &'a str,
    organization: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    plane_path: Option<&'a str>,
    #[serde(flatten)]
    zips: Option<ZipValues<'a>>,
    runner_extra_labels: String,
    runner_group_name: &'a str,
    runners_maximum_count: u32,
    subnet_ids: &'a [String],
    vpc_id: &'a str,
}

#[derive(Serialize)]
struct ZipValues<'a> {
    runner_binaries_syncer_lambda_zip: Option<&'a str>,
    runners_lambda_zip: Option<&'a str>,
    webhook_lambda_zip: Option<&'a str>,
}

/// Renders an environment's folder.
///
/// # Errors
/// Never in practice: when the values cannot be written as JSON.
pub fn render(request: &SetRequest, policy: &Policy) -> Result<RenderedFiles, serde_json::Error> {
    let folder = policy.environment_folder(&request.environment);
    let mut files = RenderedFiles::new();
    let mut add = |name: &str, content: String| files.insert(format!("{folder}/{name}"), content);
    let (main, variables) = match policy.shape {
        EnvironmentShape::OwnStack => (text::MAIN_OWN_STACK, text::VARIABLES_OWN_STACK),
        EnvironmentShape::SharedPlane { .. } => (text::MAIN_SHARED_PLANE, text::VARIABLES_SHARED_PLANE),
    };
    add("main.tf", main.replace(text::SOURCE, &source(policy)));
    add("variables.tf", variables.to_owned());
    add(
        "outputs.tf",
        match policy.shape {
            EnvironmentShape::OwnStack => text::OUTPUTS_OWN_STACK.to_owned(),
            EnvironmentShape::SharedPlane { .. } => text::OUTPUTS_SHARED_PLANE.to_owned(),
        },
    );
    add("versions.tf", text::VERSIONS.to_owned());
    add(BACKEND_FILE, backend(&policy.backend, &request.environment)?);
    add(VALUES_FILE, values(request, policy)?);
    add("scaling-test.yml", example_workflow(&request.labels, request.maximum));
    add("README.md", text::readme(&request.environment, &request.labels));
    Ok(files)
}

fn pretty(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(text)
}

fn values(request: &SetRequest, policy: &Policy) -> Result<String, serde_json::Error> {
    let labels: Vec<&str> = request.labels.iter().map(LabelName::as_str).collect();
    let (plane_path, zips) = match &policy.shape {
        EnvironmentShape::SharedPlane { plane_path } => (Some(plane_path.as_str()), None),
        EnvironmentShape::OwnStack => {
            let zips = &policy.zips;
            let zips = ZipValues {
                runner_binaries_syncer_lambda_zip: zips.syncer.as_deref(),
                runners_lambda_zip: zips.runners.as_deref(),
                webhook_lambda_zip: zips.webhook.as_deref(),
            };
            (None, Some(zips))
        }
    };
    // Every second of every day: the philips-labs module's minRunners holds at all times.
    let always = |count| Idle { cron: "* * * * * *", time_zone: "UTC", idle_count: count };
    let values = Values {
        ami_filter: request.ami.filter.iter().map(|filter| ("name", vec![filter.as_str()])).collect(),
        ami_owners: vec![request.ami.owner.as_str()],
        aws_region: request.network.region.as_str(),
        enable_organization_runners: true,
        environment: request.environment.as_str(),
        // A shared control plane knows its server.
        ghes_ca: zips.as_ref().map(|_| policy.ghes_ca.as_deref()),
        ghes_url: zips.as_ref().map(|_| policy.ghes_url.as_deref()),
        idle_config: Some(request.floor).filter(|floor| *floor > 0).map(always).into_iter().collect(),
        instance_type: request.instance_type.as_str(),
        organization: request.organization.as_str(),
        plane_path,
        zips,
        runner_extra_labels: labels.join(","),
        runner_group_name: request.group.as_str(),
        runners_maximum_count: request.maximum,
        subnet_ids: &request.network.subnet_ids,
        vpc_id: &request.network.vpc_id,
    };
    pretty(&values)
}

#[derive(Serialize)]
struct BackendFile<'a> {
    terraform: Terraform<'a>,
}

#[derive(Serialize)]
struct Terraform<'a> {
    backend: BTreeMap<&'static str, S3<'a>>,
}

#[derive(Serialize)]
struct S3<'a> {
    bucket: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dynamodb_table: Option<&'a str>,
    encrypt: bool,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kms_key_id: Option<&'a str>,
    region: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    use_lockfile: Option<bool>,
}

/// The key of an environment's state in the bucket. What is stored beside the state has a key beside this one.
#[must_use]
pub fn state_key(backend: &Backend, environment: &EnvironmentName) -> String {
    format!("{}/{environment}/terraform.tfstate", backend.key_prefix)
}

/// Where Terraform takes the module from: the root's for a stack of its own, the scale set's beside it for a shared control plane. What
/// follows a question mark says which version it is.
fn source(policy: &Policy) -> String {
    let (path, version) = match policy.module_source.split_once('?') {
        Some((path, version)) => (path, format!("?{version}")),
        None => (policy.module_source.as_str(), String::new()),
    };
    match policy.shape {
        EnvironmentShape::OwnStack => format!("{path}{version}"),
        EnvironmentShape::SharedPlane { .. } => {
            // A package's folder is behind two slashes, unless the address has them already; a local path has none.
            let behind_scheme = path.split_once("://").map_or(path, |(_, rest)| rest);
            let is_package = !path.starts_with(['.', '/']) && !behind_scheme.contains("//");
            let slash = if is_package { "//" } else { "/" };
            format!("{}{slash}modules/scale-set{version}", path.trim_end_matches('/'))
        }
    }
}

/// The text of [`BACKEND_FILE`]: it follows from the policy and the environment's name alone.
///
/// # Errors
/// Never in practice: when the settings cannot be written as JSON.
pub fn backend(backend: &Backend, environment: &EnvironmentName) -> Result<String, serde_json::Error> {
    let (dynamodb_table, use_lockfile) = match &backend.lock {
        StateLock::S3 => (None, Some(true)),
        StateLock::DynamoDb(table) => (Some(table.as_str()), None),
    };
    let s3 = S3 {
        bucket: &backend.bucket,
        dynamodb_table,
        encrypt: true,
        key: state_key(backend, environment),
        kms_key_id: backend.kms_key_id.as_deref(),
        region: backend.region.as_str(),
        use_lockfile,
    };
    pretty(&BackendFile { terraform: Terraform { backend: [("s3", s3)].into() } })
}

/// Moves a folder's files to the archive: a deletion's pull request. Content stays byte for byte.
#[must_use]
pub fn archive(files: &RenderedFiles, environment: &EnvironmentName, policy: &Policy) -> RenderedFiles {
    let (from, to) = (policy.environment_folder(environment), policy.archived_folder(environment));
    let moved = files.iter().filter_map(|(path, content)| {
        let rest = path.strip_prefix(&from)?.strip_prefix('/')?;
        Some((format!("{to}/{rest}"), content.clone()))
    });
    moved.collect()
}

/// How a file differs from what was rendered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// It was rendered and is not there.
    Missing(String),
    /// It is there with other content.
    Changed(String),
    /// It is there and was not rendered.
    Extra(String),
}

impl Difference {
    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Missing(path) | Self::Changed(path) | Self::Extra(path) => path,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "{path} is missing"),
            Self::Changed(path) => write!(f, "{path} was changed"),
            Self::Extra(path) => write!(f, "{path} was added"),
        }
    }
}
