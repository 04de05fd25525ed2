//! What a reconciler is made of where states are on S3 and environments on AWS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runnersmith_aws::{ObjectRecordStore, Session};
use runnersmith_github::GitHubClient;
use runnersmith_issueops::policy::{EnvironmentShape, Policy};
use runnersmith_issueops_engine::{Base, ChangeReconciler, Reader, ReconcilerParts, Rights, Seal};
use runnersmith_ports::{ControlRepository, SystemClock};
use runnersmith_provision_terraform::environments::AwsEnvironments;
use runnersmith_provision_terraform::{Terraform, TerraformConfig};
use runnersmith_types::Secret;
use tokio::sync::watch;

use super::options::WorkflowOptions;
use super::runs::{ProcessRuns, WorkflowRuns};
use super::server_mode::StackApp;
use super::webhooks::CloudWebhooks;
use super::workflow::{Identity, Shown};
use crate::credentials::{self, variable};
use crate::exit::CommandFailure;

/// How long Terraform has to end in order after the signal: one call of its provider may take minutes. A cancelled workflow is
/// killed ten seconds after the signal; a server waits.
const STOP_WITHIN: Duration = Duration::from_secs(300);
/// How long a server waits for all of it.
pub const ENDS_WITHIN: Duration = STOP_WITHIN
    .saturating_add(runnersmith_provision_terraform::AFTER_STOP)
    .saturating_add(super::server_mode::ENDS_WITHIN);
/// A key for plan files, if it is not the App's.
const PLAN_KEY: &str = "RUNNERSMITH_PLAN_KEY";

/// The App as a workflow's variables say it, in the words of Terraform's variable.
fn app_of(get: impl Fn(&str) -> Option<String>) -> Option<serde_json::Value> {
    Some(serde_json::json!({
        "id": credentials::app_id(&get)?, "key_base64": get(credentials::APP_KEY_BASE64)?,
        "client_id": get(credentials::APP_CLIENT_ID), "client_secret": get(credentials::APP_CLIENT_SECRET),
        "webhook_secret": get(credentials::WEBHOOK_SECRET),
    }))
}

/// The secrets that a plan needs, as Terraform's variable; none on a shared control plane, which has them.
fn github_app(policy: &Policy, given: Option<&StackApp>) -> Vec<(String, Secret)> {
    if policy.shape != EnvironmentShape::OwnStack {
        return Vec::new();
    }
    let app = match given {
        Some(app) => Some(serde_json::json!({
            "id": app.id, "key_base64": STANDARD.encode(app.key_pem.expose()), "webhook_secret": app.webhook_secret.expose(),
        })),
        None => app_of(variable),
    };
    app.into_iter().map(|app| ("TF_VAR_github_app".to_owned(), Secret::new(app.to_string()))).collect()
}

/// Terraform with those secrets, which ends in order when `stop` says so.
fn terraform_of(program: &Path, environment: Vec<(String, Secret)>, stop: watch::Receiver<bool>) -> TerraformConfig {
    let mut config = TerraformConfig::new(std::env::temp_dir().join("runnersmith-terraform"));
    config.program = program.to_owned();
    config.environment = environment;
    config.stop_within = STOP_WITHIN;
    config.stop = Some(stop);
    config
}

/// The key that seals plan files.
fn seal() -> Result<Seal, CommandFailure> {
    let Some(key) = variable(PLAN_KEY).or_else(|| variable(credentials::APP_KEY_BASE64)) else {
        return Err(CommandFailure::config(
            format!("there is no key for plan files: neither {PLAN_KEY} nor {} is set", credentials::APP_KEY_BASE64),
            format!("give the App's key, or a secret {PLAN_KEY} made by `openssl rand -base64 32`, to both jobs"),
        ));
    };
    Seal::new(&Secret::new(key))
        .map_err(|error| CommandFailure::config(error.to_string(), "both jobs need the same key"))
}

/// A reconciler's parts in a workflow, and the Terraform that must end before the program does.
pub async fn parts(
    workflow: &WorkflowOptions,
    rights: Rights,
    identity: Identity,
    stop: watch::Receiver<bool>,
) -> Result<(ReconcilerParts, Terraform), CommandFailure> {
    let control = identity.control;
    let base = Base::read(control.as_ref(), &Reader::new(control.clone()))
        .await
        .map_err(|error| super::failed(&error.into()))?;
    let policy = &base.policy;
    let config = terraform_of(&workflow.terraform, github_app(policy, None), stop);
    let host = runnersmith_provision_terraform::who();
    let runs = WorkflowRuns { control: control.clone(), id: workflow.run_id, attempt: workflow.run_attempt, host };
    let webhooks = CloudWebhooks { github: identity.app };
    made(policy, control, webhooks, rights, config, (Arc::new(runs), Arc::new(Shown), seal()?)).await
}

/// The reconciler of a server, made when the policy can be read, and made again when the policy says something else.
pub struct ByPolicy {
    settings: super::server_mode::IssueOpsSettings,
    github: Arc<GitHubClient>,
    control: Arc<dyn ControlRepository>,
    /// Kept, so that a policy that did not change is not fetched again.
    reader: Reader,
    seal: Seal,
    stop: watch::Receiver<bool>,
    runs: Arc<ProcessRuns>,
    made: tokio::sync::Mutex<Option<(Policy, Arc<ChangeReconciler>, Terraform)>>,
}

impl ByPolicy {
    /// A reconciler of this server.
    pub fn new(
        settings: &super::server_mode::IssueOpsSettings,
        github: Arc<GitHubClient>,
        control: Arc<dyn ControlRepository>,
        seal: Seal,
        stop: &watch::Receiver<bool>,
    ) -> Self {
        let runs = Arc::new(ProcessRuns::new(&runnersmith_provision_terraform::who(), &settings.data));
        Self {
            settings: settings.clone(),
            github,
            reader: Reader::new(control.clone()),
            control,
            seal,
            stop: stop.clone(),
            runs,
            made: tokio::sync::Mutex::default(),
        }
    }

    /// The reconciler.
    ///
    /// # Errors
    /// When the policy cannot be read, or Terraform is not there.
    pub async fn get(&self) -> Result<Arc<ChangeReconciler>, CommandFailure> {
        let base =
            Base::read(self.control.as_ref(), &self.reader).await.map_err(|error| super::failed(&error.into()))?;
        let mut made = self.made.lock().await;
        if let Some((policy, reconciler, _)) = made.as_ref()
            && *policy == base.policy
        {
            return Ok(reconciler.clone());
        }
        let environment = github_app(&base.policy, Some(&self.settings.app));
        let config = terraform_of(&self.settings.terraform, environment, self.stop.clone());
        let at_work = (
            self.runs.clone() as Arc<dyn runnersmith_issueops_engine::Runs>,
            Arc::new(super::server_mode::Logged) as _,
            self.seal.clone(),
        );
        let webhooks = CloudWebhooks { github: Some(self.github.clone()) };
        let (parts, terraform) =
            self::made(&base.policy, self.control.clone(), webhooks, Rights::Apply, config, at_work).await?;
        let reconciler = Arc::new(ChangeReconciler::new(parts));
        *made = Some((base.policy, reconciler.clone(), terraform));
        Ok(reconciler)
    }

    /// Waits until Terraform does nothing any more.
    pub async fn ended(&self) {
        if let Some((_, _, terraform)) = self.made.lock().await.as_ref() {
            terraform.settled().await;
        }
    }
}

/// A reconciler's parts by the platform policy.
async fn made(
    policy: &Policy,
    control: Arc<dyn ControlRepository>,
    webhooks: CloudWebhooks,
    rights: Rights,
    config: TerraformConfig,
    (runs, progress, seal): (
        Arc<dyn runnersmith_issueops_engine::Runs>,
        Arc<dyn runnersmith_issueops_engine::Progress>,
        Seal,
    ),
) -> Result<(ReconcilerParts, Terraform), CommandFailure> {
    let terraform = Terraform::new(config)
        .map_err(|error| CommandFailure::config(error.to_string(), "install Terraform 1.11 or newer, or OpenTofu"))?;
    let backend = &policy.backend;
    let session = Session::from_environment(Some(backend.region.as_str()), None).await;
    let record_store =
        ObjectRecordStore::new(&session, &backend.bucket, &backend.key_prefix, backend.kms_key_id.as_deref());
    let clock = Arc::new(SystemClock);
    let fleet = AwsEnvironments::of_policy(policy, None, clock.clone()).await;
    let parts = ReconcilerParts {
        // The client reads teams and groups as the App where the token may not.
        control,
        record_store: Arc::new(record_store),
        record_store_name: format!("s3://{}/{}/", backend.bucket, backend.key_prefix),
        provisioner: Arc::new(terraform.clone()),
        fleet: Arc::new(fleet),
        webhooks: Some(Arc::new(webhooks)),
        runs,
        clock,
        seal,
        rights,
        progress,
        merge_wait: Duration::from_secs(2),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    Ok((parts, terraform))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_a_server_waits_is_what_its_page_says() {
        let page = include_str!("../../../../docs/issueops.md");
        assert!(page.contains(&format!("at most {} s", ENDS_WITHIN.as_secs())), "{ENDS_WITHIN:?}");
    }

    #[test]
    fn a_client_id_alone_names_the_app_of_a_stack() {
        let app = |variables: &[(&str, &str)]| {
            app_of(|name| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned()))
        };
        let client = (credentials::APP_CLIENT_ID, "Iv1.8a61f9b3a7aba766");
        let key = (credentials::APP_KEY_BASE64, "a2V5");
        let found = app(&[client, key]).unwrap();
        assert_eq!((&found["id"], &found["key_base64"]), (&"Iv1.8a61f9b3a7aba766".into(), &"a2V5".into()));
        let both = app(&[(credentials::APP_ID, "42"), client, key]).unwrap();
        assert_eq!((&both["id"], &both["client_id"]), (&"42".into(), &found["client_id"]));
        assert!(both["webhook_secret"].is_null());
        assert_eq!((app(&[client]), app(&[key])), (None, None));
    }
}
