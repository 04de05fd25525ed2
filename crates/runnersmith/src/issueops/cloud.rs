//! What a desk is made of where states are on S3 and environments on AWS.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runnersmith_aws::{ObjectShelf, Session};
use runnersmith_changes::{Base, Desk, Parts, Reader, Rights, Seal};
use runnersmith_cloud_fleet::CloudFleet;
use runnersmith_github::GitHubClient;
use runnersmith_issueops::policy::{Policy, Shape};
use runnersmith_ports::{ControlRepository, SystemClock};
use runnersmith_terraform::{Terraform, TerraformConfig};
use runnersmith_types::Secret;
use tokio::sync::watch;

use super::home::AppSecrets;
use super::options::WorkflowHome;
use super::runs::{ProcessRuns, WorkflowRuns};
use super::webhooks::CloudWebhooks;
use super::workflow::Shown;
use crate::credentials;
use crate::exit::Failure;

/// How long Terraform has to end in order. A cancelled workflow is killed ten seconds after it was told.
const STOP_WITHIN: Duration = Duration::from_secs(300);
/// A key for plan files, if it is not the App's.
const PLAN_KEY: &str = "RUNNERSMITH_PLAN_KEY";

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The secrets that a plan needs, as Terraform's variable; none on a shared plane, which has them.
fn github_app(policy: &Policy, given: Option<&AppSecrets>) -> Vec<(String, Secret)> {
    if policy.shape != Shape::OwnStack {
        return Vec::new();
    }
    let text = |name: &str| variable(name).map_or(serde_json::Value::Null, serde_json::Value::String);
    let app = match given {
        Some(app) => serde_json::json!({
            "id": app.id, "key_base64": STANDARD.encode(app.key_pem.expose()), "webhook_secret": app.webhook_secret.expose(),
        }),
        None => {
            let (Some(id), Some(key)) = (variable(credentials::APP_ID), variable(credentials::APP_KEY_BASE64)) else {
                return Vec::new();
            };
            serde_json::json!({
                "id": id, "key_base64": key, "client_id": text(credentials::APP_CLIENT_ID),
                "client_secret": text(credentials::APP_CLIENT_SECRET),
                "webhook_secret": text(credentials::WEBHOOK_SECRET),
            })
        }
    };
    vec![("TF_VAR_github_app".to_owned(), Secret::new(app.to_string()))]
}

/// The key that seals plan files.
fn seal() -> Result<Seal, Failure> {
    let Some(key) = variable(PLAN_KEY).or_else(|| variable(credentials::APP_KEY_BASE64)) else {
        return Err(Failure::config(
            format!("there is no key for plan files: neither {PLAN_KEY} nor {} is set", credentials::APP_KEY_BASE64),
            format!("give the App's key, or a secret {PLAN_KEY} made by `openssl rand -base64 32`, to both jobs"),
        ));
    };
    Seal::new(&Secret::new(key)).map_err(|error| Failure::config(error.to_string(), "both jobs need the same key"))
}

/// A desk's parts in a workflow, and the Terraform that must end before the program does.
pub async fn parts(
    home: &WorkflowHome,
    rights: Rights,
    control: Arc<dyn ControlRepository>,
    stop: watch::Receiver<bool>,
) -> Result<(Parts, Terraform), Failure> {
    let base = Base::read(control.as_ref(), &Reader::new(control.clone()))
        .await
        .map_err(|error| super::failed(&error.into()))?;
    let policy = &base.policy;
    let mut config = TerraformConfig::new(std::env::temp_dir().join("runnersmith-terraform"));
    config.program.clone_from(&home.terraform);
    config.environment = github_app(policy, None);
    config.stop_within = STOP_WITHIN;
    config.stop = Some(stop);
    let host = runnersmith_terraform::who();
    let runs = WorkflowRuns { control: control.clone(), id: home.run_id, attempt: home.run_attempt, host };
    made(policy, control, rights, config, (Arc::new(runs), Arc::new(Shown), seal()?)).await
}

/// The desk of a server, made when the policy can be read, and made anew when the policy says something else.
pub struct ByPolicy {
    settings: super::home::Settings,
    github: Arc<GitHubClient>,
    control: Arc<dyn ControlRepository>,
    seal: Seal,
    stop: watch::Receiver<bool>,
    runs: Arc<ProcessRuns>,
    made: tokio::sync::Mutex<Option<(Policy, Arc<Desk>, Terraform)>>,
}

impl ByPolicy {
    /// A desk of this server.
    pub fn new(
        settings: &super::home::Settings,
        github: Arc<GitHubClient>,
        control: Arc<dyn ControlRepository>,
        seal: Seal,
        stop: &watch::Receiver<bool>,
    ) -> Self {
        let runs = Arc::new(ProcessRuns::new(&runnersmith_terraform::who(), &settings.data));
        Self {
            settings: settings.clone(),
            github,
            control,
            seal,
            stop: stop.clone(),
            runs,
            made: tokio::sync::Mutex::default(),
        }
    }

    /// The desk.
    ///
    /// # Errors
    /// When the policy cannot be read, or Terraform is not there.
    pub async fn get(&self) -> Result<Arc<Desk>, Failure> {
        let base = Base::read(self.control.as_ref(), &Reader::new(self.control.clone()))
            .await
            .map_err(|error| super::failed(&error.into()))?;
        let mut made = self.made.lock().await;
        if let Some((policy, desk, _)) = made.as_ref().filter(|(policy, ..)| *policy == base.policy) {
            let _ = policy;
            return Ok(desk.clone());
        }
        let mut config = TerraformConfig::new(std::env::temp_dir().join("runnersmith-terraform"));
        config.program.clone_from(&self.settings.terraform);
        config.environment = github_app(&base.policy, Some(&self.settings.app));
        config.stop_within = STOP_WITHIN;
        config.stop = Some(self.stop.clone());
        let at_work = (
            self.runs.clone() as Arc<dyn runnersmith_changes::Runs>,
            Arc::new(super::home::Logged) as _,
            self.seal.clone(),
        );
        let (mut parts, terraform) =
            self::made(&base.policy, self.control.clone(), Rights::Apply, config, at_work).await?;
        parts.webhooks = Some(Arc::new(CloudWebhooks { github: Some(self.github.clone()) }));
        let desk = Arc::new(Desk::new(parts));
        *made = Some((base.policy, desk.clone(), terraform));
        Ok(desk)
    }

    /// Waits until Terraform does nothing any more.
    pub async fn ended(&self) {
        if let Some((_, _, terraform)) = self.made.lock().await.as_ref() {
            terraform.settled().await;
        }
    }
}

/// A desk's parts by the platform policy.
pub async fn made(
    policy: &Policy,
    control: Arc<dyn ControlRepository>,
    rights: Rights,
    config: TerraformConfig,
    (runs, progress, seal): (Arc<dyn runnersmith_changes::Runs>, Arc<dyn runnersmith_changes::Progress>, Seal),
) -> Result<(Parts, Terraform), Failure> {
    let terraform = Terraform::new(config)
        .map_err(|error| Failure::config(error.to_string(), "install Terraform 1.11 or newer, or OpenTofu"))?;
    let backend = &policy.backend;
    let session = Session::from_environment(Some(backend.region.as_str()), None).await;
    let shelf = ObjectShelf::new(&session, &backend.bucket, &backend.key_prefix, backend.kms_key_id.as_deref());
    let clock = Arc::new(SystemClock);
    let fleet = CloudFleet::of_policy(policy, None, clock.clone()).await;
    let parts = Parts {
        control,
        // The client reads teams and groups as the App where the token may not.
        directory: None,
        shelf: Arc::new(shelf),
        shelf_name: format!("s3://{}/{}/", backend.bucket, backend.key_prefix),
        provisioner: Arc::new(terraform.clone()),
        fleet: Arc::new(fleet),
        webhooks: Some(Arc::new(CloudWebhooks { github: None })),
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
