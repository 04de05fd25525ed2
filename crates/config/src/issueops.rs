//! `[issueops]`: scale sets that people ask for by issues of a control repository.

use std::path::{Path, PathBuf};
use std::time::Duration;

use runnersmith_types::RepoFullName;

use crate::reader::{Reader, Unit};
use crate::sections::{Source, file_or, path, variable};

/// What makes a requested scale set real.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provisioning {
    /// This server: it becomes one of its own scale sets, with machines on this host.
    Embedded,
    /// Terraform: it becomes an environment on AWS. Records lie beside the state, as the platform policy says.
    Terraform,
}

/// The section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueOpsSection {
    /// The control repository.
    pub repository: RepoFullName,
    /// What makes scale sets real. Default: embedded.
    pub provisioning: Provisioning,
    /// Terraform, or OpenTofu. Default `terraform`, from the PATH.
    pub terraform: PathBuf,
    /// The key that seals plan files; default: one derived from the App's.
    pub plan_key: Option<Source>,
    /// How often everything is looked at without any event. Default 60 s.
    pub tick: Duration,
    /// How often it is looked for what differs from its state, at most 720 h apart. Default 24 h; zero: never.
    pub drift: Duration,
}

impl IssueOpsSection {
    pub(crate) fn read(reader: &Reader<'_>) -> Option<Self> {
        let text = reader.required("repository", "the control repository, \"acme/runners\"");
        let repository = text.and_then(|text| {
            let name = RepoFullName::parse(text);
            name.map_err(|_| reader.refuse("repository", "a repository is needed, such as \"acme/runners\"")).ok()
        });
        let provisioning = match reader.string("provisioner") {
            None | Some("embedded") => Provisioning::Embedded,
            Some("terraform") => Provisioning::Terraform,
            Some(_) => {
                reader.refuse("provisioner", "\"embedded\" or \"terraform\" is allowed");
                Provisioning::Embedded
            }
        };
        let plan_key = file_or(reader, "plan_key_file", (variable(reader, "plan_key_env"), "plan_key_env"));
        let terraform = path(reader, "terraform_program").unwrap_or_else(|| "terraform".into());
        let tick = reader.time("tick_seconds", Unit::Seconds, 5..=3_600).unwrap_or(Duration::from_secs(60));
        let drift = reader.time("drift_hours", Unit::Hours, 0..=720).unwrap_or(Duration::from_secs(24 * 3_600));
        reader.finish();
        Some(Self { repository: repository?, provisioning, terraform, plan_key, tick, drift })
    }

    pub(crate) fn resolve(&mut self, base: &Path) {
        self.plan_key.iter_mut().for_each(|source| source.resolve(base));
        // A bare name is looked for on the PATH. A path is made whole: Terraform is started in a directory of its own.
        if self.terraform.components().count() > 1 {
            let whole = base.join(&self.terraform);
            self.terraform = std::path::absolute(&whole).unwrap_or(whole);
        }
    }
}
