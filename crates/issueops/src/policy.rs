//! The platform policy: what the platform team fixes, and bounds what a request may ask.
//!
//! It lies as one TOML file in the control repository, so that a change to it is reviewed like any other. It is read from
//! the default branch only; a request cannot bring its own. Every value in it is checked as strictly as a request's,
//! since some of them stand in generated HCL.

mod place;
mod raw;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::Serialize;

pub use crate::words::{AmiOwner, EnvironmentName, GroupName, InstanceType, LabelName, NotAName, Organization, Region};

/// The policy's path in the control repository. Only the default branch's file counts.
pub const FILE: &str = "runnersmith-policy.toml";
/// Why a policy is not used whose module's address leads to the control repository.
pub const FETCHES_ITSELF: &str = "module_source leads by a URL to this repository itself, to a branch and a folder that anybody may write to; \
    hint: name it by a path, such as ../../modules/runnersmith, which is read from the default branch";
/// The most bytes of the file that are read.
pub const BYTES_MAX: usize = 256 * 1024;
/// The newest version of the file's format that this program knows.
pub const VERSION: u32 = 1;

/// A place where machines may run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Network {
    /// The region.
    pub region: Region,
    /// The VPC.
    pub vpc_id: String,
    /// Its subnets; never empty.
    pub subnet_ids: Vec<String>,
}

/// How an environment is laid out on AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvironmentShape {
    /// Webhook, queue, functions, ledger and one scale set together: the philips-labs module's shape.
    OwnStack,
    /// A scale set that registers with a control plane which is already there.
    SharedPlane {
        /// The SSM path under which the control plane finds its scale sets.
        plane_path: String,
    },
}

/// What keeps two writers of one state apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateLock {
    /// S3's own lock file.
    S3,
    /// A DynamoDB table, by name.
    DynamoDb(String),
}

/// Where Terraform's states are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// The bucket.
    pub bucket: String,
    /// Its region.
    pub region: Region,
    /// What every key begins with, without slashes at the ends.
    pub key_prefix: String,
    /// The lock.
    pub lock: StateLock,
    /// The KMS key that encrypts states and plans, if it is not the bucket's default.
    pub kms_key_id: Option<String>,
}

/// What runners may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerRules {
    /// The most runners of one environment.
    pub maximum: u32,
    /// The most idle runners that a request may keep.
    pub floor_maximum: u32,
    /// Groups that may be asked for. Compared without case; this spelling is used.
    pub groups: Vec<GroupName>,
    /// Whether any group may be asked for.
    pub any_group: bool,
    /// Labels that every environment has, beside `self-hosted` and its own name.
    pub common_labels: Vec<LabelName>,
    /// Further labels that may be asked for.
    pub labels: BTreeSet<LabelName>,
    /// What further labels may begin with.
    pub label_prefixes: Vec<LabelName>,
    /// Instance types that may be asked for; the first is the default.
    pub instance_types: Vec<InstanceType>,
    /// Owners whose images may be used; the first is the default.
    pub ami_owners: Vec<AmiOwner>,
}

/// Who may cause a plan by a comment or by a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanBy {
    /// Anyone who may write to the control repository.
    Writers,
    /// They, and the request's author for their own request.
    AuthorsAndWriters,
}

/// What an approval needs, and how long things may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRules {
    /// The team whose members may approve, by its slug; `None`: anyone who may write.
    pub team: Option<String>,
    /// Whether who asked, or committed to the branch, may approve.
    pub author_may_approve: bool,
    /// Whether `/approve` without a digest is ever enough.
    pub plain_approve: bool,
    /// Who may cause a plan.
    pub plan_by: PlanBy,
    /// How long a plan may be approved.
    pub plan_expiry: Duration,
    /// How long a deletion waits for running jobs before it asks what to do.
    pub delete_wait: Duration,
}

/// What is done with GitHub's side of the webhook after an apply of an environment with a stack of its own. The endpoint and
/// the name of its secret are shown in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebhookTarget {
    /// Nothing: somebody enters both by hand.
    #[default]
    None,
    /// They become the GitHub App's own webhook. An App has one, so this fits a single environment.
    App,
    /// The organisation gets a webhook of its own for `workflow_job` events.
    Organization,
}

/// Names of the secrets of the control repository that hold the GitHub App; never the secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppSecretNames {
    /// The App's id.
    pub id: String,
    /// Its private key, base64.
    pub key_base64: String,
    /// Its client id.
    pub client_id: String,
    /// Its client secret.
    pub client_secret: String,
}

/// Lambda packages; `None` takes the release's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zips {
    /// The webhook's.
    pub webhook: Option<String>,
    /// The runners'.
    pub runners: Option<String>,
    /// The syncer's.
    pub syncer: Option<String>,
}

/// Dollars in millionths, so that sums are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MicroDollars(pub i64);

impl MicroDollars {
    /// Parses an amount such as `0.096`: digits, at most six of them after the point.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || whole.len() > 6 || part.len() > 6 {
            return None;
        }
        let part: i64 = format!("{part:0<6}").parse().ok()?;
        Some(Self(whole.parse::<i64>().ok()? * 1_000_000 + part))
    }

    /// So many times the amount; saturates.
    #[must_use]
    pub fn times(self, count: i64) -> Self {
        Self(self.0.saturating_mul(count))
    }
}

impl fmt::Display for MicroDollars {
    /// Dollars with two decimals, with three below one dollar.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, micro) = if self.0 < 0 { ("-", -i128::from(self.0)) } else { ("", i128::from(self.0)) };
        let mill = (micro + 500) / 1000;
        if mill < 1000 && mill % 10 != 0 {
            return write!(f, "{sign}$0.{mill:03}");
        }
        let cent = (micro + 5000) / 10_000;
        write!(f, "{sign}${}.{:02}", cent / 100, cent % 100)
    }
}

/// A checked policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The folder of all environments, in the control repository.
    pub folder: String,
    /// Where a deleted environment's folder goes.
    pub archive_folder: String,
    /// How an environment is laid out.
    pub shape: EnvironmentShape,
    /// Where Terraform takes the module from; safe in an HCL string.
    pub module_source: String,
    /// GitHub Enterprise Server's address, if GitHub is one.
    pub ghes_url: Option<String>,
    /// The authority that signed that server's certificate, PEM, if machines and functions do not know it anyway.
    pub ghes_ca: Option<String>,
    /// Organisations that may be asked for; never empty.
    pub organizations: Vec<Organization>,
    /// Where machines may run; never empty, one for each region. The first is the default.
    pub networks: Vec<Network>,
    /// Where states are.
    pub backend: Backend,
    /// What runners may be.
    pub runners: RunnerRules,
    /// What an approval needs.
    pub approval: ApprovalRules,
    /// Names of secrets.
    pub app: AppSecretNames,
    /// What is done with the webhook after an apply; always [`WebhookTarget::None`] on a shared control plane, which has its own.
    pub webhook: WebhookTarget,
    /// Lambda packages.
    pub zips: Zips,
    /// Dollars per hour of one machine, by type.
    pub prices: BTreeMap<InstanceType, MicroDollars>,
}

/// Why a policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The text is too long.
    #[error("the platform policy has {0} bytes, {BYTES_MAX} are read")]
    TooLarge(usize),
    /// The text is not TOML, or has a field that is not known, or one of another kind.
    #[error("read the platform policy")]
    Toml(#[source] Box<toml::de::Error>),
    /// Values that cannot be used: all of them.
    #[error("the platform policy has {} that cannot be used: {}", count(.0.len()), .0.join("; "))]
    Values(Vec<String>),
}

fn count(n: usize) -> String {
    if n == 1 { "a value".to_owned() } else { format!("{n} values") }
}

impl Policy {
    /// The folder of one environment.
    #[must_use]
    pub fn environment_folder(&self, environment: &EnvironmentName) -> String {
        format!("{}/{environment}", self.folder)
    }

    /// The folder of one environment after its deletion.
    #[must_use]
    pub fn archived_folder(&self, environment: &EnvironmentName) -> String {
        format!("{}/{environment}", self.archive_folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = include_str!("../tests/support/policy.toml");

    #[test]
    fn defaults_are_the_promised_ones() {
        let policy = Policy::parse(LEAST).unwrap();
        assert_eq!(policy.folder, "actions-runner-envs");
        assert_eq!((policy.runners.maximum, policy.runners.floor_maximum), (10, 10));
        assert_eq!(policy.approval.plan_expiry, Duration::from_secs(24 * 3600));
        assert_eq!(policy.approval.delete_wait, Duration::from_secs(6 * 3600));
        assert!(!policy.approval.author_may_approve && policy.approval.plain_approve);
        assert_eq!(policy.app.key_base64, "APP_KEY_BASE64");
        assert_eq!(policy.webhook, WebhookTarget::None);
        let common: Vec<&str> = policy.runners.common_labels.iter().map(LabelName::as_str).collect();
        assert_eq!(common, ["auto-scale", "aws"]);
    }

    #[test]
    fn everything_that_is_wrong_is_listed_at_once() {
        let text = LEAST
            .replace("version = 1", "version = 2\nfolder = \"../up\"\nghes_url = \"http://x\"")
            .replace("vpc-0123456789abcdef0", "vpc-${x}")
            .replace("m5.large", "huge");
        let Err(PolicyError::Values(wrong)) = Policy::parse(&text) else { panic!("accepted") };
        insta::assert_snapshot!(wrong.join("\n"), @r#"
        version: 2 is not 1, which is what this program knows
        folder: "../up" is not a path of names without dots at their beginning, such as actions-runner-envs
        ghes_url: "http://x" is not an address such as https://github.example.com
        network.vpc_id: "vpc-${x}" is not a VPC's id such as vpc-0a1b2c3d
        backend.key_prefix: "../up" is not a path of names, such as states/runners
        runners.instance_types: "huge" is not an instance type such as m5.large
        "#);
    }

    #[test]
    fn a_field_that_is_not_known_is_refused() {
        let Err(PolicyError::Toml(error)) = Policy::parse(&format!("author_may_aprove = true\n{LEAST}")) else {
            panic!("accepted")
        };
        assert!(error.message().contains("author_may_aprove"), "{error}");
    }

    #[test]
    fn the_webhook_is_set_as_the_policy_says_and_a_shared_plane_has_its_own() {
        let with = |shape: &str, set: &str| {
            Policy::parse(&format!(
                "{}\n[webhook]\nset = \"{set}\"\n",
                LEAST.replace("version = 1", &format!("version = 1\n{shape}"))
            ))
        };
        for (word, set) in
            [("none", WebhookTarget::None), ("app", WebhookTarget::App), ("organization", WebhookTarget::Organization)]
        {
            assert_eq!(with("", word).unwrap().webhook, set);
        }
        let wrong = |policy: Result<Policy, PolicyError>| match policy {
            Err(PolicyError::Values(wrong)) => wrong.join("\n"),
            other => panic!("{other:?}"),
        };
        assert_eq!(wrong(with("", "App")), "webhook.set: \"App\" is not none, app or organization");
        let shared = "shape = \"shared-plane\"\nplane_path = \"/plane\"";
        assert_eq!(with(shared, "none").unwrap().webhook, WebhookTarget::None);
        assert_eq!(
            wrong(with(shared, "app")),
            "webhook.set: \"app\" is not of use for shape shared-plane, which has its own webhook; leave it out"
        );
    }

    #[test]
    fn a_policy_is_bounded() {
        let long = format!("{LEAST}\n# {}", "x".repeat(BYTES_MAX));
        assert!(matches!(Policy::parse(&long), Err(PolicyError::TooLarge(_))));
        let subnets: Vec<String> = (0..300).map(|n| format!("\"subnet-{n:017}\"")).collect();
        let many = LEAST.replace("\"subnet-00000000000000001\"", &subnets.join(", "));
        assert!(
            matches!(Policy::parse(&many), Err(PolicyError::Values(wrong)) if wrong.len() == 1),
            "not cut in silence"
        );
    }

    #[test]
    fn a_private_authority_is_certificates_and_nothing_else() {
        let with = |pem: &str| Policy::parse(&format!("ghes_ca = {pem:?}\n{LEAST}"));
        let pem = "-----BEGIN CERTIFICATE-----\nMIIB+/=\n-----END CERTIFICATE-----";
        assert_eq!(with(pem).unwrap().ghes_ca, Some(format!("{pem}\n")));
        for bad in [
            "",
            "MIIB",
            &pem.replace("MIIB", "${x}"),
            &pem.replace("MIIB", "EOF\""),
            &pem.replace("MIIB", &"A".repeat(5_000)),
        ] {
            assert!(with(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_module_source_cannot_leave_its_string() {
        for bad in ["a\"\n}", "${path.root}", "%{if}", "a b", "a\\b"] {
            let text = LEAST.replace(
                "../../modules/runnersmith",
                &bad.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"),
            );
            assert!(Policy::parse(&text).is_err(), "{bad}");
        }
    }

    #[test]
    fn money_is_exact() {
        assert_eq!(MicroDollars::parse("0.096").unwrap().times(20).to_string(), "$1.92");
        assert_eq!(MicroDollars::parse("0.096").unwrap().to_string(), "$0.096");
        assert_eq!(MicroDollars::parse("12").unwrap().to_string(), "$12.00");
        assert_eq!(MicroDollars(-1_500_000).to_string(), "-$1.50");
        for bad in ["", ".", "1.", ".5", "-1", "1e3", "0.1234567", "1,5"] {
            assert_eq!(MicroDollars::parse(bad), None, "{bad}");
        }
    }
}
