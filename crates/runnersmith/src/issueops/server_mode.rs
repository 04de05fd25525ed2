//! The server mode: requests are handled in a running server, by the same webhook, without a workflow and its minutes.
//!
//! A delivery only says where to look, and the truth lies in GitHub and in the records, so a delivery that is lost with this
//! process is made good by the first tick of the next one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_config::Provisioning;
use runnersmith_controllers::driver::{Driver, Period, stopped};
use runnersmith_controllers::tasks::{BackgroundTask, Tasks};
use runnersmith_github::{ControlClient, GitHubClient};
use runnersmith_issueops_engine::{
    ChangeReconciler, Drift, Handled, Progress, ReconcileError, ReconcilerParts, Rights, Runs, Seal,
};
use runnersmith_ports::chain;
use runnersmith_ports::{Clock, ControlRepository};
use runnersmith_provision_embedded::Embedded;
use runnersmith_types::{ChangeTrigger, RepoFullName, Secret};
use runnersmith_webhook::{ChangeEvent, DeliveryListener};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinError, JoinSet};

use super::runs::ProcessRuns;
use crate::exit::CommandFailure;

/// Looks that wait; more are left to the next tick.
const WAITING_MAX: usize = 1_024;
/// Looks at once: each may plan or apply.
const AT_ONCE: usize = 16;
/// How long after its start a server looks for drift at the latest: one that is started again each day must look too, and one
/// that starts again and again must not plan all the time.
const DRIFT_FIRST: Duration = Duration::from_secs(600);
/// How long records and comments have after the signal to stop.
pub const ENDS_WITHIN: Duration = Duration::from_secs(20);
/// How often a draining environment is looked at.
const DRAIN_EVERY: Duration = Duration::from_secs(2);

/// The App as a stack of its own needs it.
#[derive(Clone)]
#[cfg_attr(not(feature = "aws"), expect(dead_code, reason = "Terraform is driven by programs with AWS"))]
pub struct StackApp {
    /// Its id.
    pub id: String,
    /// Its private key, PEM.
    pub key_pem: Secret,
    /// The secret of its webhook.
    pub webhook_secret: Secret,
}

/// What the server needs to handle requests.
#[derive(Clone)]
#[cfg_attr(not(feature = "aws"), expect(dead_code, reason = "Terraform is driven by programs with AWS"))]
pub struct IssueOpsSettings {
    /// The control repository.
    pub repository: RepoFullName,
    /// What makes scale sets real.
    pub provisioning: Provisioning,
    /// Terraform's program.
    pub terraform: std::path::PathBuf,
    /// What the key of plan files is made from.
    pub plan_key: Secret,
    /// The App that new environments work as.
    pub app: StackApp,
    /// Where the server keeps its data.
    pub data: std::path::PathBuf,
    /// How often everything is looked at.
    pub tick: Duration,
    /// How often it looks for drift; zero: never.
    pub drift: Duration,
}

/// Receives deliveries about the control repository.
pub struct ChangeListener {
    repository: String,
    looks: mpsc::Sender<ChangeTrigger>,
}

impl DeliveryListener for ChangeListener {
    fn on_change(&self, event: &ChangeEvent) -> Option<String> {
        let trigger = event.trigger(&self.repository).ok()?;
        let said = match &trigger {
            ChangeTrigger::Issue { number, .. } => format!("issue #{number} is looked at"),
            ChangeTrigger::Pull { number } => format!("#{number} is looked at"),
            ChangeTrigger::Branch { .. } => "the branch is looked at".to_owned(),
            ChangeTrigger::Tick => return None,
        };
        Some(match self.looks.try_send(trigger) {
            Ok(()) => said,
            Err(_) => "many wait; the next tick looks at everything".to_owned(),
        })
    }
}

/// Progress as log lines.
pub struct Logged;

impl Progress for Logged {
    fn line(&self, line: &str) {
        tracing::info!(target: "runnersmith::issueops", "{}", line.escape_debug());
    }
}

/// Makes the reconciler: at once where everything is here, by the platform policy where it is not.
#[async_trait]
trait Reconcilers: Send + Sync {
    async fn reconciler(&self) -> Result<Arc<ChangeReconciler>, CommandFailure>;
    /// Waits until nothing runs any more.
    async fn completed(&self) {}
    /// How long it may take until nothing runs any more.
    fn ends_within(&self) -> Duration {
        ENDS_WITHIN
    }
}

struct Here(Arc<ChangeReconciler>);

#[async_trait]
impl Reconcilers for Here {
    async fn reconciler(&self) -> Result<Arc<ChangeReconciler>, CommandFailure> {
        Ok(self.0.clone())
    }
}

/// The parts: what receives the webhook's deliveries, and the loop.
pub struct ServerMode {
    /// For the webhook receiver.
    pub listener: Arc<ChangeListener>,
    looks: mpsc::Receiver<ChangeTrigger>,
    reconcilers: Arc<dyn Reconcilers>,
    tick: Duration,
    drift: Duration,
}

impl ServerMode {
    /// The server mode of this server.
    ///
    /// # Errors
    /// When the key of plan files is too short, or the program was built without what is asked for.
    pub fn new(
        settings: &IssueOpsSettings,
        github: Arc<GitHubClient>,
        embedded: &Embedded,
        clock: Arc<dyn Clock>,
        stop: &watch::Receiver<bool>,
    ) -> Result<Self, CommandFailure> {
        let (sender, looks) = mpsc::channel(WAITING_MAX);
        let repository = settings.repository.clone();
        let listener = Arc::new(ChangeListener { repository: repository.to_string(), looks: sender });
        let control: Arc<dyn ControlRepository> = Arc::new(ControlClient::new(github.clone(), repository));
        let seal = Seal::new(&settings.plan_key).map_err(|error| {
            CommandFailure::config(error.to_string(), "[issueops] plan_key_file or plan_key_env names a better one")
        })?;
        let reconcilers: Arc<dyn Reconcilers> = match settings.provisioning {
            Provisioning::Embedded => {
                let runs: Arc<dyn Runs> = Arc::new(ProcessRuns::new("runnersmith@here", &settings.data));
                Arc::new(Here(Arc::new(ChangeReconciler::new(ReconcilerParts {
                    control,
                    record_store: embedded.record_store(),
                    record_store_name: "this server's store, ".into(),
                    provisioner: Arc::new(embedded.clone()),
                    fleet: Arc::new(embedded.clone()),
                    webhooks: None,
                    runs,
                    clock,
                    seal,
                    rights: Rights::Apply,
                    progress: Arc::new(Logged),
                    merge_wait: Duration::from_millis(500),
                    version: env!("CARGO_PKG_VERSION").into(),
                }))))
            }
            Provisioning::Terraform => terraform(settings, github, control, seal, stop)?,
        };
        Ok(Self { listener, looks, reconcilers, tick: settings.tick, drift: settings.drift })
    }

    /// How long what is under way may take after the signal to stop.
    #[must_use]
    pub fn ends_within(&self) -> Duration {
        self.reconcilers.ends_within()
    }

    /// Starts the background tasks: one looks where deliveries say, and everywhere once in each tick; one follows what drains; one
    /// looks for drift. They are shown in `tasks`, and end when `stop` says so, each after what is under way.
    pub fn start(self, tasks: Arc<Tasks>, clock: Arc<dyn Clock>, stop: watch::Receiver<bool>) -> JoinSet<()> {
        let mut driver = Driver::new(tasks, clock.clone(), stop);
        let drains = watch::channel(false).0;
        let requests = Requests {
            looks: tokio::sync::Mutex::new(self.looks),
            reconcilers: self.reconcilers.clone(),
            clock: clock.clone(),
            tick: self.tick,
            drains: drains.clone(),
        };
        let requests = Arc::new(requests);
        driver.spawn("requests", "handles what issues and pull requests ask for", move |task, stop| {
            let requests = requests.clone();
            async move { requests.run(task, stop).await }
        });
        let reconcilers = self.reconcilers.clone();
        driver.spawn("draining environments", "follows environments until nothing of them is left", {
            move |task, stop| drain(reconcilers.clone(), drains.clone(), clock.clone(), task, stop)
        });
        if let Some(period) = drift_period(self.drift) {
            let reconcilers = self.reconcilers;
            driver.every("drift", "looks for what differs from its state", period, Arc::default(), move || {
                drift(reconcilers.clone())
            });
        }
        driver.into_running()
    }
}

/// When drift is looked for: soon after the start for the first time, or never.
fn drift_period(every: Duration) -> Option<Period> {
    (!every.is_zero()).then(|| Period { first: every.min(DRIFT_FIRST), then: every })
}

/// Handles requests.
struct Requests {
    /// Held by the one task; it is kept when that is started again.
    looks: tokio::sync::Mutex<mpsc::Receiver<ChangeTrigger>>,
    reconcilers: Arc<dyn Reconcilers>,
    clock: Arc<dyn Clock>,
    tick: Duration,
    /// Set when an environment drains.
    drains: watch::Sender<bool>,
}

impl Requests {
    async fn run(&self, task: BackgroundTask, mut stop: watch::Receiver<bool>) {
        let mut looks = self.looks.lock().await;
        let mut under_way: JoinSet<Result<(), String>> = JoinSet::new();
        let at_once = Arc::new(Semaphore::new(AT_ONCE));
        let ticking = Arc::new(Semaphore::new(1));
        let mut tick_at = self.clock.now();
        loop {
            // One place is taken before a look is: what has none waits in the queue, which is bounded.
            let turn = tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                Some(ended) = under_way.join_next() => { self.over(&task, ended); continue }
                Ok(turn) = at_once.clone().acquire_owned() => turn,
            };
            task.next(tick_at);
            let trigger = tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                Some(ended) = under_way.join_next() => { self.over(&task, ended); continue }
                () = self.clock.sleep(tick_at.since(self.clock.now())) => {
                    tick_at = self.clock.now().plus(self.tick);
                    ChangeTrigger::Tick
                }
                Some(trigger) = looks.recv() => trigger,
            };
            // One look at everything at a time is enough.
            let tick = match trigger {
                ChangeTrigger::Tick => match ticking.clone().try_acquire_owned() {
                    Ok(tick) => Some(tick),
                    Err(_) => continue,
                },
                _ => None,
            };
            let (reconcilers, drains) = (self.reconcilers.clone(), self.drains.clone());
            task.begin(self.clock.now());
            under_way.spawn(async move {
                let looked = look(reconcilers.as_ref(), &trigger, &drains).await;
                drop((turn, tick));
                looked
            });
        }
        // What is under way comes to its end: its records say how far it is.
        while let Some(ended) = under_way.join_next().await {
            self.over(&task, ended);
        }
        self.reconcilers.completed().await;
    }

    fn over(&self, task: &BackgroundTask, ended: Result<Result<(), String>, JoinError>) {
        match ended {
            Ok(result) => task.end(self.clock.now(), result),
            Err(error) => {
                tracing::error!(%error, "a look at a request panicked; this is a defect, please report it");
                task.panicked(self.clock.now(), &error.to_string());
            }
        }
    }
}

async fn look(
    reconcilers: &dyn Reconcilers,
    trigger: &ChangeTrigger,
    drains: &watch::Sender<bool>,
) -> Result<(), String> {
    let looked = match reconcilers.reconciler().await {
        Ok(reconciler) => reconciler.handle(trigger).await,
        Err(failure) => {
            tracing::error!(error = %failure.what, hint = failure.hint.as_deref(), "requests cannot be handled");
            return Err(failure.what);
        }
    };
    log_outcome(looked, drains)
}

fn log_outcome(looked: Result<Handled, ReconcileError>, drains: &watch::Sender<bool>) -> Result<(), String> {
    match looked {
        Ok(handled) => {
            for failed in &handled.failed {
                tracing::error!(failed = %failed.escape_debug(), "a change could not be looked at; the next tick goes on");
            }
            if !handled.draining.is_empty() {
                drains.send_if_modified(|draining| !std::mem::replace(draining, true));
            }
            if handled.failed.is_empty() { Ok(()) } else { Err(handled.failed.join("; ")) }
        }
        Err(error) => {
            tracing::error!(error = %chain(&error), "a request could not be looked at; the next tick goes on");
            Err(chain(&error))
        }
    }
}

/// Says what keeps a look at draining environments from succeeding, and not again before it is something else: looks come every
/// other second.
fn warn_once(warned: &mut String, failed: String) {
    if !failed.is_empty() && *warned != failed {
        tracing::warn!(error = %failed.escape_debug(), "what drains could not be looked at");
    }
    *warned = failed;
}

/// Looks for what differs from its state.
async fn drift(reconcilers: Arc<dyn Reconcilers>) -> Result<(), String> {
    let reconciler = reconcilers.reconciler().await.map_err(|failure| failure.what)?;
    for (environment, drift) in reconciler.drift().await.map_err(|error| chain(&error))? {
        match drift {
            Drift::Failed(why) => {
                tracing::warn!(environment, error = %why.escape_debug(), "it could not be found out whether it differs from its state");
            }
            Drift::HandEdited { files } => {
                tracing::warn!(
                    environment,
                    files,
                    "files of its folder are not what its last request rendered; nothing was planned"
                );
            }
            Drift::None | Drift::Differs { .. } | Drift::Busy => {}
        }
    }
    Ok(())
}

/// Looks at draining environments, as long as there are any.
async fn drain(
    reconcilers: Arc<dyn Reconcilers>,
    drains: watch::Sender<bool>,
    clock: Arc<dyn Clock>,
    task: BackgroundTask,
    mut stop: watch::Receiver<bool>,
) {
    let mut draining = drains.subscribe();
    let mut warned = String::new();
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            found = draining.wait_for(|draining| *draining) => if found.is_err() { return },
        }
        task.begin(clock.now());
        // Before the look: what is received while it goes on may be about an environment that it does not see yet.
        drains.send_replace(false);
        let (looks_again, failed) = proceed(reconcilers.as_ref()).await;
        warn_once(&mut warned, failed.clone());
        task.end(clock.now(), if failed.is_empty() { Ok(()) } else { Err(failed) });
        if looks_again {
            drains.send_replace(true);
            task.next(clock.now().plus(DRAIN_EVERY));
        }
        tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            () = clock.sleep(DRAIN_EVERY) => {}
        }
    }
}

/// One look at what drains: whether to look again, and what failed.
async fn proceed(reconcilers: &dyn Reconcilers) -> (bool, String) {
    let reconciler = match reconcilers.reconciler().await {
        Ok(reconciler) => reconciler,
        Err(failure) => {
            let hint = failure.hint.map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
            return (true, failure.what + &hint);
        }
    };
    match reconciler.proceed().await {
        Ok(handled) => (!handled.draining.is_empty(), handled.failed.join("; ")),
        Err(error) => (true, chain(&error)),
    }
}

#[cfg(feature = "aws")]
fn terraform(
    settings: &IssueOpsSettings,
    github: Arc<GitHubClient>,
    control: Arc<dyn ControlRepository>,
    seal: Seal,
    stop: &watch::Receiver<bool>,
) -> Result<Arc<dyn Reconcilers>, CommandFailure> {
    Ok(Arc::new(super::cloud::ByPolicy::new(settings, github, control, seal, stop)))
}

#[cfg(feature = "aws")]
#[async_trait]
impl Reconcilers for super::cloud::ByPolicy {
    async fn reconciler(&self) -> Result<Arc<ChangeReconciler>, CommandFailure> {
        self.get().await
    }
    async fn completed(&self) {
        self.ended().await;
    }
    fn ends_within(&self) -> Duration {
        super::cloud::ENDS_WITHIN
    }
}

#[cfg(not(feature = "aws"))]
fn terraform(
    _settings: &IssueOpsSettings,
    _github: Arc<GitHubClient>,
    _control: Arc<dyn ControlRepository>,
    _seal: Seal,
    _stop: &watch::Receiver<bool>,
) -> Result<Arc<dyn Reconcilers>, CommandFailure> {
    Err(CommandFailure::config(
        "[issueops] provisioner = \"terraform\" keeps its records on S3, and this program was built without AWS",
        "take a released program, build it with `cargo build --profile dist --features aws`, or use \"embedded\"",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn drift_is_looked_for_soon_after_the_start_and_then_from_time_to_time() {
        let (minute, day) = (Duration::from_secs(60), 24 * HOUR);
        assert_eq!(drift_period(day), Some(Period { first: 10 * minute, then: day }));
        let sooner = "sooner when it is to look often";
        assert_eq!(drift_period(5 * minute), Some(Period { first: 5 * minute, then: 5 * minute }), "{sooner}");
        assert_eq!(drift_period(Duration::ZERO), None, "never");
    }
}
