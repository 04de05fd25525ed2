//! A control repository in the simulated GitHub, with people, a reconciler that may plan and one that may apply, and a provisioner
//! whose cloud is a map. Requests, pushes, comments and merges go through HTTP as they do in life.

#![allow(dead_code, reason = "each test file uses its part of the world")]
#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_github::{ControlClient, GitHubClient, GitHubConfig};
use runnersmith_github_sim::{Options, Simulator};
use runnersmith_issueops::change::{Left, Liveness, State};
use runnersmith_issueops::policy::{Policy, WebhookTarget};
use runnersmith_issueops::summary::Summary;
use runnersmith_issueops_engine::{
    Applied, ChangeReconciler, Fleet, FleetError, Handled, LeftBy, MadePlan, PlanOptions, Progress, ProvisionError,
    Provisioner, ReconcilerParts, Record, Rights, Run, Runs, Seal, StateBackend, StateId, Webhooks, Workspace,
    open_key,
};
use runnersmith_ports::{Clock, ControlRepository, MemoryRecordStore, RecordStore, SystemClock};
use runnersmith_types::{ChangeTrigger, RepoFullName, Secret, Timestamp};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

mod gate;

pub use gate::Gate;

pub const REPO: &str = "acme/control";
pub const POLICY: &str = r#"
version = 1
organizations = ["acme"]
module_source = "../../modules/runners"

[backend]
bucket = "states"
region = "eu-west-1"

[[network]]
region = "eu-west-1"
vpc_id = "vpc-0123456789abcdef0"
subnet_ids = ["subnet-0123456789abcdef0"]
"#;

/// The machine's clock, moved on.
pub struct Moved(AtomicI64);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().as_millis() + self.0.load(Ordering::SeqCst))
    }
}

/// Runs of tests: alive while they are in the list.
#[derive(Default)]
pub struct TestRuns {
    next: AtomicU64,
    alive: Arc<Mutex<BTreeSet<String>>>,
}

struct TestRun(String, Arc<Mutex<BTreeSet<String>>>);

impl Run for TestRun {
    fn name(&self) -> &str {
        &self.0
    }
    fn host(&self) -> &str {
        "tester@here"
    }
}

impl Drop for TestRun {
    fn drop(&mut self) {
        self.1.lock().unwrap().remove(&self.0);
    }
}

#[async_trait]
impl Runs for TestRuns {
    fn begin(&self) -> Box<dyn Run> {
        let name = format!("run-{}", self.next.fetch_add(1, Ordering::SeqCst));
        self.alive.lock().unwrap().insert(name.clone());
        Box::new(TestRun(name, self.alive.clone()))
    }
    async fn liveness(&self, run: &str) -> Liveness {
        if self.alive.lock().unwrap().contains(run) { Liveness::Alive } else { Liveness::Dead }
    }
}

/// A cloud that is a map, with a state that counts.
#[derive(Default)]
pub struct Cloud {
    /// Values by environment.
    pub there: BTreeMap<String, String>,
    /// Serial by environment.
    pub serial: BTreeMap<String, u64>,
    /// Plan files that were applied, as text.
    pub applied: Vec<Value>,
    /// Workspaces that were planned.
    pub planned: Vec<Workspace>,
    /// Every workspace that was laid out, to plan, to apply or to look for drift: a program ran on it with credentials.
    pub laid_out: Vec<Workspace>,
    /// Every place of a state that was asked.
    pub states: Vec<StateBackend>,
    /// Whether plans took the state's lock.
    pub locked_plans: Vec<bool>,
    /// The next apply or plan fails with this.
    pub fails: Option<ProvisionError>,
    /// Bytes by which the next plan files are larger.
    pub padding: usize,
    /// Resources that a plan destroys beside.
    pub destroys: usize,
    /// The lock file that init writes.
    pub lock_file: Option<String>,
    /// State locks that were released for a dead run.
    pub released: Vec<String>,
    /// What drifted.
    pub drifted: Vec<String>,
}

/// The provisioner over it; an apply can be held.
#[derive(Default)]
pub struct MapProvisioner {
    pub cloud: Mutex<Cloud>,
    /// Applies wait for this when it is there.
    pub hold: Mutex<Option<Arc<Notify>>>,
    /// Notified when an apply has begun.
    pub begun: Notify,
    /// Plans wait for this when it is there, after they are laid out.
    pub hold_plan: Mutex<Option<Arc<Notify>>>,
    /// Notified when a plan has begun.
    pub plan_begun: Notify,
    /// Looks for drift wait for this when it is there.
    pub hold_drift: Mutex<Option<Arc<Notify>>>,
    /// Notified when a look for drift has begun.
    pub drift_begun: Notify,
}

/// The summary of a plan that Terraform would show so.
fn summary(shown: &Value) -> Summary {
    Summary::of_show_json(shown.to_string().as_bytes()).unwrap()
}

fn endpoint_of(environment: &str) -> String {
    format!("https://{environment}.example/webhook")
}

impl MapProvisioner {
    fn values(workspace: &Workspace) -> String {
        String::from_utf8(workspace.file("terraform.tfvars.json").cloned().unwrap_or_default()).unwrap()
    }
    /// Whether any workspace that was laid out, or any place of a state, ever had this text in it.
    pub fn saw(&self, text: &str) -> bool {
        let has = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        let cloud = self.cloud.lock().unwrap();
        let files = cloud.laid_out.iter().flat_map(Workspace::files);
        files.into_iter().any(|(path, content)| path.contains(text) || has(content))
            || cloud.states.iter().any(|backend| has(backend.settings().as_bytes()))
    }
    pub fn touch(&self, environment: &str) {
        *self.cloud.lock().unwrap().serial.entry(environment.into()).or_default() += 1;
    }
}

#[async_trait]
impl Provisioner for MapProvisioner {
    async fn version(&self) -> Result<String, ProvisionError> {
        Ok("1.14.0".into())
    }

    async fn plan(
        &self,
        workspace: &Workspace,
        options: PlanOptions,
        progress: &dyn Progress,
    ) -> Result<MadePlan, ProvisionError> {
        progress.line("planning");
        self.cloud.lock().unwrap().laid_out.push(workspace.clone());
        self.plan_begun.notify_one();
        let hold = self.hold_plan.lock().unwrap().clone();
        if let Some(hold) = hold {
            hold.notified().await;
        }
        let mut cloud = self.cloud.lock().unwrap();
        if let Some(error) = cloud.fails.take() {
            return Err(error);
        }
        cloud.planned.push(workspace.clone());
        cloud.locked_plans.push(!options.without_lock);
        let environment = workspace.environment();
        let serial = cloud.serial.get(environment).copied().unwrap_or(0);
        let is_there = cloud.there.contains_key(environment);
        let action = match (options.destroy, is_there) {
            (true, true) => "delete",
            (true, false) => "no-op",
            (false, true) => "update",
            (false, false) => "create",
        };
        let mut changes = vec![json!({
            "address": "module.runners.aws_launch_template.this", "mode": "managed", "type": "aws_launch_template",
            "change": {"actions": [action], "before": null, "after": {}},
        })];
        changes.extend((0..cloud.destroys).map(|n| {
            json!({
                "address": format!("module.runners.aws_sqs_queue.of[\"queue-{n:05}\"]"), "mode": "managed", "type": "aws_sqs_queue",
                "change": {"actions": ["delete"], "before": {}, "after": null},
            })
        }));
        let file = json!({"environment": environment, "serial": serial, "destroy": options.destroy,
            "values": Self::values(workspace), "secret": "a secret of the plan"});
        let endpoint = is_there.then(|| endpoint_of(environment));
        let outputs = json!({"webhook_endpoint": {
            "actions": [action], "before": endpoint, "after": null, "before_sensitive": false, "after_sensitive": false,
        }});
        let lock_file = cloud.lock_file.clone().map(String::into_bytes);
        Ok(MadePlan {
            file: format!("{file}{}", " ".repeat(cloud.padding)).into_bytes(),
            summary: summary(
                &json!({"format_version": "1.2", "terraform_version": "1.14.0", "resource_changes": changes,
                "output_changes": outputs}),
            ),
            text: "Terraform will perform the following actions: …".into(),
            lock_file,
            state: StateId { lineage: if serial == 0 { String::new() } else { "lineage".into() }, serial },
        })
    }

    async fn state(&self, backend: &StateBackend) -> Result<StateId, ProvisionError> {
        let mut cloud = self.cloud.lock().unwrap();
        cloud.states.push(backend.clone());
        let serial = cloud.serial.get(backend.environment()).copied().unwrap_or(0);
        Ok(StateId { lineage: if serial == 0 { String::new() } else { "lineage".into() }, serial })
    }

    async fn apply(
        &self,
        workspace: &Workspace,
        plan_file: &[u8],
        progress: &dyn Progress,
    ) -> Result<Applied, ProvisionError> {
        progress.line("applying");
        self.begun.notify_one();
        let hold = self.hold.lock().unwrap().clone();
        if let Some(hold) = hold {
            hold.notified().await;
        }
        let mut cloud = self.cloud.lock().unwrap();
        cloud.laid_out.push(workspace.clone());
        let plan: Value = serde_json::from_slice(plan_file).unwrap();
        let environment = workspace.environment().to_owned();
        if plan["serial"].as_u64() != Some(cloud.serial.get(&environment).copied().unwrap_or(0)) {
            return Err(ProvisionError::Stale);
        }
        *cloud.serial.entry(environment.clone()).or_default() += 1;
        if let Some(error) = cloud.fails.take() {
            return Err(error);
        }
        if plan["destroy"] == json!(true) {
            cloud.there.remove(&environment);
        } else {
            cloud.there.insert(environment.clone(), plan["values"].as_str().unwrap().to_owned());
        }
        cloud.applied.push(plan);
        if !cloud.there.contains_key(&environment) {
            return Ok(Applied { outputs: BTreeMap::new(), log: String::new() });
        }
        let outputs = [
            ("webhook_endpoint", endpoint_of(&environment)),
            ("webhook_secret_parameter", format!("/runnersmith/{environment}/secrets/webhook")),
        ];
        Ok(Applied { outputs: outputs.map(|(name, value)| (name.to_owned(), json!(value))).into(), log: String::new() })
    }

    async fn drift(&self, workspace: &Workspace) -> Result<Summary, ProvisionError> {
        self.cloud.lock().unwrap().laid_out.push(workspace.clone());
        self.drift_begun.notify_one();
        let hold = self.hold_drift.lock().unwrap().clone();
        if let Some(hold) = hold {
            hold.notified().await;
        }
        let drifted: Vec<Value> = self
            .cloud
            .lock()
            .unwrap()
            .drifted
            .iter()
            .map(|address| {
                json!({"address": address, "mode": "managed", "type": "aws_sqs_queue",
                    "change": {"actions": ["update"], "before": {}, "after": {}}})
            })
            .collect();
        Ok(summary(&json!({"format_version": "1.2", "terraform_version": "1.14.0", "resource_drift": drifted})))
    }

    async fn release_left_lock(
        &self,
        backend: &StateBackend,
        left_by: &LeftBy,
    ) -> Result<Option<String>, ProvisionError> {
        let mut cloud = self.cloud.lock().unwrap();
        cloud.states.push(backend.clone());
        cloud.released.push(left_by.who.clone());
        Ok(Some("state-lock".into()))
    }
}

/// A fleet whose leftovers the test says.
#[derive(Default)]
pub struct TestFleet {
    pub left: Mutex<Left>,
    pub drained: Mutex<Vec<(String, bool)>>,
    pub ended: Mutex<Vec<String>>,
    pub forgotten: Mutex<Vec<String>>,
}

#[async_trait]
impl Fleet for TestFleet {
    async fn drain(&self, environment: &str, kill_jobs: bool) -> Result<Left, FleetError> {
        self.drained.lock().unwrap().push((environment.into(), kill_jobs));
        if kill_jobs {
            *self.left.lock().unwrap() = Left::default();
        }
        Ok(*self.left.lock().unwrap())
    }
    async fn end_drain(&self, environment: &str) -> Result<(), FleetError> {
        self.ended.lock().unwrap().push(environment.into());
        Ok(())
    }
    async fn forget(&self, environment: &str) -> Result<(), FleetError> {
        self.forgotten.lock().unwrap().push(environment.into());
        Ok(())
    }
}

/// Webhooks that are only written down.
#[derive(Default)]
pub struct TestWebhooks {
    /// Organisation, endpoint, and where the secret is.
    pub pointed: Mutex<Vec<[String; 3]>>,
    pub forgotten: Mutex<Vec<String>>,
    pub fails: Mutex<Option<String>>,
}

#[async_trait]
impl Webhooks for TestWebhooks {
    async fn point(
        &self,
        policy: &Policy,
        organization: &str,
        endpoint: &str,
        secret_parameter: &str,
    ) -> Result<String, String> {
        if policy.webhook == WebhookTarget::None {
            return Ok(String::new());
        }
        if let Some(why) = self.fails.lock().unwrap().take() {
            return Err(why);
        }
        self.pointed.lock().unwrap().push([organization, endpoint, secret_parameter].map(str::to_owned));
        Ok("The App's webhook points there now.".into())
    }

    async fn forget(&self, _policy: &Policy, endpoint: &str) -> Result<String, String> {
        if let Some(why) = self.fails.lock().unwrap().take() {
            return Err(why);
        }
        self.forgotten.lock().unwrap().push(endpoint.into());
        Ok("The webhook that led there is removed.".into())
    }
}

/// Everything.
pub struct World {
    pub webhooks: Arc<TestWebhooks>,
    pub github: Simulator,
    pub record_store: Arc<MemoryRecordStore>,
    pub provisioner: Arc<MapProvisioner>,
    pub fleet: Arc<TestFleet>,
    pub runs: Arc<TestRuns>,
    pub clock: Arc<Moved>,
    /// May plan.
    pub planner: Arc<ChangeReconciler>,
    /// May apply.
    pub applier: Arc<ChangeReconciler>,
    token: String,
    reader: String,
}

/// The philips-labs module's block with these values.
pub fn block(environment: &str, maximum: u32) -> String {
    format!(
        "Please create\n\n```json\n{{\n  \"environment\": \"{environment}\",\n  \"organization\": \"acme\",\n  \"minRunners\": \"0\",\n  \"maxRunners\": \"{maximum}\",\n  \"runnerGroup\": \"Default\",\n  \"amiFilter\": \"\",\n  \"amiOwner\": \"amazon\"\n}}\n```\n"
    )
}

pub const SET: &str = "self-hosted-runner-scale-set";
pub const DELETE: &str = "delete-self-hosted-runner-scale-set";

impl World {
    pub async fn new() -> Self {
        Self::with_policy(POLICY).await
    }

    /// `ann` asks and may only read; `wanda` and `walt` may write; `adam` is an admin; `rita` may read.
    pub async fn with_policy(policy: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let github = Simulator::start(Options::default()).await.unwrap();
        github.add_org("acme");
        github.add_repository(REPO);
        github.write_files(
            REPO,
            "main",
            &[
                ("runnersmith-policy.toml", policy),
                ("README.md", "# Control\n"),
                ("modules/runners/main.tf", "# a module\n"),
            ],
        );
        for (login, role) in [
            ("ann", "read"),
            ("rita", "read"),
            ("wanda", "write"),
            ("walt", "write"),
            ("adam", "admin"),
            ("tom", "triage"),
        ] {
            github.add_user(login);
            github.set_role(REPO, login, role);
        }
        let (token, reader) = (github.actions_token(REPO), github.user_token("adam"));
        let mut world = Self {
            webhooks: Arc::default(),
            github,
            record_store: Arc::new(MemoryRecordStore::new()),
            provisioner: Arc::default(),
            fleet: Arc::default(),
            runs: Arc::default(),
            clock: Arc::new(Moved(AtomicI64::new(0))),
            planner: reconciler_of_nothing(),
            applier: reconciler_of_nothing(),
            token,
            reader,
        };
        world.planner = world.reconciler(Rights::Plan);
        world.applier = world.reconciler(Rights::Apply);
        world
    }

    pub fn control(&self) -> Arc<dyn ControlRepository> {
        let mut config = GitHubConfig::with_token(&self.github.base_url(), Secret::new(self.token.clone()));
        config.api_base = Some(self.github.base_url());
        let client = GitHubClient::new(config, Arc::new(SystemClock)).unwrap();
        // A workflow's token may read neither teams nor runner groups.
        let mut reader = GitHubConfig::with_token(&self.github.base_url(), Secret::new(self.reader.clone()));
        reader.api_base = Some(self.github.base_url());
        let reader = GitHubClient::new(reader, Arc::new(SystemClock)).unwrap();
        let control = ControlClient::new(Arc::new(client), RepoFullName::parse(REPO).unwrap());
        Arc::new(control.with_organization_reader(Arc::new(reader)))
    }

    /// A home of its own, as each job of a workflow is one.
    pub fn reconciler(&self, rights: Rights) -> Arc<ChangeReconciler> {
        self.reconciler_on(self.record_store.clone(), rights)
    }

    pub fn reconciler_on(&self, record_store: Arc<dyn RecordStore>, rights: Rights) -> Arc<ChangeReconciler> {
        Arc::new(ChangeReconciler::new(ReconcilerParts {
            control: self.control(),
            record_store,
            record_store_name: "records:".into(),
            provisioner: self.provisioner.clone(),
            fleet: self.fleet.clone(),
            webhooks: Some(self.webhooks.clone()),
            runs: self.runs.clone(),
            clock: self.clock.clone(),
            seal: Seal::new(&Secret::new("k".repeat(44))).unwrap(),
            rights,
            progress: Arc::new(()),
            merge_wait: Duration::from_millis(1),
            version: "0.1.0".into(),
        }))
    }

    /// Moves every clock on.
    pub fn advance(&self, by: Duration) {
        self.clock.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
        self.github.advance(by);
    }

    pub fn open_issue(&self, author: &str, body: &str, label: &str) -> u64 {
        self.github.open_issue(REPO, author, "runners please", body, &[label]).unwrap()
    }

    /// An issue, looked at. Returns its number.
    pub async fn ask(&self, author: &str, body: &str, label: &str) -> u64 {
        let issue = self.open_issue(author, body, label);
        self.planner.handle(&ChangeTrigger::Issue { number: issue, editor: None }).await.unwrap();
        issue
    }

    /// A comment by somebody on a change's pull request, looked at by the job that may plan.
    pub async fn comment(&self, pull: u64, login: &str, body: &str) -> Handled {
        self.github.comment_as(REPO, pull, login, body);
        self.planner.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap()
    }

    /// What a comment orders, carried through by both jobs.
    pub async fn order(&self, pull: u64, login: &str, body: &str) {
        let handled = self.comment(pull, login, body).await;
        if !handled.needs_apply.is_empty() {
            self.applier.proceed().await.unwrap();
        }
    }

    /// An admin's order of a plan of the files of "team" that were edited by hand, as the comment shows what to write.
    pub async fn order_of_files(&self, pull: u64) {
        self.planner.handle(&ChangeTrigger::Pull { number: pull }).await.unwrap();
        let edited = self.record("team").await.change.edited_files.expect("files that were edited by hand");
        self.order(pull, "adam", &edited.plan_line()).await;
    }

    /// The environment "team", asked for and planned: its pull request, and what approves it.
    pub async fn planned(&self) -> (u64, String) {
        self.ask("ann", &block("team", 3), SET).await;
        (self.record("team").await.change.pull, self.approve_line("team").await)
    }

    /// A job that applies, and is held in the midst of it: it goes on when it is asked to, or is gone when it is aborted.
    pub async fn applying(&self) -> (Arc<Notify>, JoinHandle<Handled>) {
        let go_on = Arc::new(Notify::new());
        *self.provisioner.hold.lock().unwrap() = Some(go_on.clone());
        let applier = self.applier.clone();
        let applying = tokio::spawn(async move { applier.proceed().await.unwrap() });
        self.provisioner.begun.notified().await;
        (go_on, applying)
    }

    pub async fn record(&self, environment: &str) -> Record {
        self.planner.change_store().record(&open_key(environment)).await.unwrap().expect("an open change").0
    }

    pub async fn is_open(&self, environment: &str) -> bool {
        self.planner.change_store().record(&open_key(environment)).await.unwrap().is_some()
    }

    /// What to write to approve the current plan.
    pub async fn approve_line(&self, environment: &str) -> String {
        let record = self.record(environment).await;
        match &record.change.state {
            State::Planned(plan) => plan.approve_line(record.change.kind),
            other => panic!("not planned: {other:?}"),
        }
    }

    /// An environment that was asked for, approved, applied and merged.
    pub async fn made(&self, environment: &str) {
        self.ask("ann", &block(environment, 3), SET).await;
        let pull = self.record(environment).await.change.pull;
        let line = self.approve_line(environment).await;
        self.order(pull, "wanda", &line).await;
        assert!(!self.is_open(environment).await, "{}", self.said(pull));
    }

    /// All comments of an issue or pull request.
    pub fn said(&self, number: u64) -> String {
        let issue = self.github.issue(REPO, number);
        issue.comments.iter().map(|comment| format!("[{}] {}\n---\n", comment.author, comment.body)).collect()
    }

    /// The last comment that is an answer of ours.
    pub fn answer(&self, number: u64) -> String {
        let issue = self.github.issue(REPO, number);
        let own = issue.comments.iter().rev().find(|comment| comment.body.starts_with("<!-- runnersmith:reply -->"));
        own.unwrap_or_else(|| panic!("no answer on #{number}: {}", self.said(number))).body.clone()
    }

    /// The comment that shows the change.
    pub fn shown(&self, number: u64) -> String {
        let issue = self.github.issue(REPO, number);
        let own: Vec<_> =
            issue.comments.iter().filter(|comment| comment.body.starts_with("<!-- runnersmith:state -->")).collect();
        assert_eq!(own.len(), 1, "one comment shows the change: {}", self.said(number));
        own[0].body.clone()
    }

    pub fn files(&self, branch: &str) -> Vec<String> {
        self.github.files(REPO, branch).into_keys().collect()
    }
}

/// Stands where the real ones are put at once.
fn reconciler_of_nothing() -> Arc<ChangeReconciler> {
    struct Nobody;
    impl Runs for Nobody {
        fn begin(&self) -> Box<dyn Run> {
            TestRuns::default().begin()
        }
        fn liveness<'a: 'c, 'b: 'c, 'c>(
            &'a self,
            _run: &'b str,
        ) -> std::pin::Pin<Box<dyn Future<Output = Liveness> + Send + 'c>>
        where
            Self: 'c,
        {
            Box::pin(async { Liveness::Unknown })
        }
    }
    let config = GitHubConfig::anonymous("http://127.0.0.1:9");
    let client = GitHubClient::new(config, Arc::new(SystemClock)).unwrap();
    Arc::new(ChangeReconciler::new(ReconcilerParts {
        control: Arc::new(ControlClient::new(Arc::new(client), RepoFullName::parse(REPO).unwrap())),
        record_store: Arc::new(MemoryRecordStore::new()),
        record_store_name: String::new(),
        provisioner: Arc::new(MapProvisioner::default()),
        fleet: Arc::new(TestFleet::default()),
        webhooks: None,
        runs: Arc::new(Nobody),
        clock: Arc::new(SystemClock),
        seal: Seal::new(&Secret::new("k".repeat(44))).unwrap(),
        rights: Rights::Plan,
        progress: Arc::new(()),
        merge_wait: Duration::ZERO,
        version: String::new(),
    }))
}
