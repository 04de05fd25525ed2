//! One process: store, GitHub, machines, loops and web server, started in order and stopped in reverse.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_controllers::faults::{FaultKind, Faults};
use runnersmith_controllers::levels::Levels;
use runnersmith_controllers::metrics::Metrics;
use runnersmith_controllers::{JobObserver, Ports, Sets, World, loops};
use runnersmith_github::GitHubConfig;
use runnersmith_local::{LocalConfig, LocalHandOff, LocalMachines};
use runnersmith_ports::{Clock, GitHub, GitHubError, Notice, SystemClock, chain};
use runnersmith_provision_embedded::{Embedded, RecordError};
use runnersmith_sqlite::{SqliteRecordStore, SqliteStore};
use runnersmith_types::ScaleSetName;
use runnersmith_web::{BoundedListener, WebState};
use runnersmith_webhook::{Intake, WebhookReceiver};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cli;
use crate::exit::{CommandFailure, ExitStatus};
use crate::host::{self, HostRunner};
use crate::issueops::server_mode::ServerMode;
use crate::report;
use crate::settings::Settings;
use crate::startup;
use crate::traces::Traces;

/// The ledger's file in the store's directory.
pub const LEDGER: &str = "ledger.sqlite3";

/// How long a graceful stop waits for the loops; requests have their own time.
const LOOPS_END_WITHIN: Duration = Duration::from_secs(20);

/// A running server.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its world, for those in the same process.
    pub world: World,
    /// The environments that are scale sets of this server.
    pub embedded: Embedded,
    stop: watch::Sender<bool>,
    traces: Option<Arc<Traces>>,
    loops: JoinSet<()>,
    /// What handles requests, and how long it has to come to its end.
    requests: (JoinSet<()>, Duration),
    web: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// Starts everything.
    ///
    /// # Errors
    /// A taken port, an unusable disk, a broken ledger: each with a hint.
    pub async fn start(settings: Settings) -> Result<Self, CommandFailure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let listener = tokio::net::TcpListener::bind(settings.listen).await.map_err(|error| {
            CommandFailure::outside(
                format!("listen on {}: {error}", settings.listen),
                "choose another [server] listen address, or stop the program that has it",
            )
        })?;
        let address = listener.local_addr().map_err(|error| CommandFailure::internal(error.to_string()))?;
        let (metrics, faults) = (Arc::new(Metrics::new()), Arc::new(Faults::default()));
        let counted = counted(settings.github.clone(), &metrics, &faults, &clock);
        let traces = settings.otel.as_deref().map(Traces::new).transpose()?.map(Arc::new);
        let github = crate::client::github(counted, clock.clone(), "check the [github] section")?;
        let store = open_store(&settings.data, clock.clone())?;
        let has_environments =
            runnersmith_provision_embedded::has_environments(&store.record_store()).await.map_err(unreadable)?;
        let runner = HostRunner::new(&settings, &metrics)?;
        let (distribution, has_machines) = (runner.place(), settings.has_machines_here(has_environments));
        if has_machines {
            runner.fetch().await?;
        }
        let github = Arc::new(github);
        let mut world = world(&settings, &store, github.clone(), distribution, clock.clone())?;
        (world.metrics, world.faults) = (metrics, faults);
        world.observer = traces.clone().map(|traces| traces as Arc<dyn JobObserver>);
        let embedded = restored(&world, store.record_store()).await?;
        let (stop, stopped) = watch::channel(false);
        let requests = match &settings.issueops {
            Some(issueops) => Some(ServerMode::new(issueops, github, &embedded, clock.clone(), &stopped)?),
            None => None,
        };
        let sets = world.sets.clone();
        let receiver = WebhookReceiver {
            listener: requests.as_ref().map(|mode| mode.listener.clone() as _),
            intake: Intake::new(world.ports.queue.clone(), world.ports.ledger.clone(), clock.clone(), move || {
                sets.load()
            }),
            secrets: settings.webhook_secrets,
            allow_sha1: settings.allow_sha1,
            clock: clock.clone(),
        };
        let state = WebState {
            ledger: world.ports.ledger.clone(),
            levels: world.levels.clone(),
            metrics: world.metrics.clone(),
            tasks: world.tasks.clone(),
            faults: world.faults.clone(),
            handler: Arc::new(receiver),
            readiness: Arc::new(Ready {
                world: world.clone(),
                first: world.sets.load().iter().map(|set| set.name.clone()).collect(),
            }),
            clock,
            version: env!("CARGO_PKG_VERSION"),
            webhook_path: settings.webhook_path,
            dashboard_token: settings.dashboard_token,
            hosts: settings.hosts,
        };
        let router = runnersmith_web::router(state);
        let mut web_stop = stopped.clone();
        let web = tokio::spawn(async move {
            axum::serve(BoundedListener::new(listener, settings.connections), router)
                .with_graceful_shutdown(async move {
                    let _ = web_stop.wait_for(|stop| *stop).await;
                })
                .await
        });
        let mut loops = loops::start(&world, settings.rhythm, &stopped);
        let disks = if has_machines { vec![settings.data, settings.machines] } else { vec![settings.data] };
        let mut of_host = host::start(&world, has_machines.then_some(runner), disks, &stopped);
        loops.spawn(async move { while of_host.join_next().await.is_some() {} });
        let requests = requests.map_or_else(Default::default, |mode| {
            let ends_within = mode.ends_within();
            (mode.start(world.tasks.clone(), world.ports.clock.clone(), stopped.clone()), ends_within)
        });
        Ok(Self { address, world, embedded, stop, traces, loops, requests, web })
    }

    /// Stops: no new deliveries, what is under way is finished, then everything ends. Machines go on by themselves.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        ended(self.loops, self.requests).await;
        // Event streams of open dashboards would keep the server alive.
        self.web.abort();
        if let Some(traces) = self.traces.take() {
            // It sends what is left and blocks meanwhile.
            let _ = tokio::task::spawn_blocking(move || traces.stop()).await;
        }
    }
}

/// GitHub's client as it is configured, with each call counted, and what its answers say of GitHub.
fn counted(config: GitHubConfig, metrics: &Arc<Metrics>, faults: &Arc<Faults>, clock: &Arc<dyn Clock>) -> GitHubConfig {
    let (metrics, faults, clock) = (metrics.clone(), faults.clone(), clock.clone());
    let (seen, time) = (faults.clone(), clock.clone());
    let notices = move |notice: &Notice| seen.noticed(notice, time.now());
    let counter = move |operation, status| {
        metrics.github_call(operation, status);
        faults.github_answered(operation, status, clock.now());
    };
    GitHubConfig { counter: Some(Arc::new(counter)), notices: Some(Arc::new(notices)), ..config }
}

/// Waits for what is under way, each for the time that it has.
async fn ended(mut loops: JoinSet<()>, (mut requests, within): (JoinSet<()>, Duration)) {
    let looped = async {
        if tokio::time::timeout(LOOPS_END_WITHIN, async { while loops.join_next().await.is_some() {} }).await.is_err() {
            tracing::warn!("a loop did not stop in time; the ledger makes that safe");
        }
    };
    let handled = async {
        if tokio::time::timeout(within, async { while requests.join_next().await.is_some() {} }).await.is_err() {
            tracing::warn!("a request did not come to its end in time; the next server says how far it is");
        }
    };
    tokio::join!(looped, handled);
}

/// The records of applied environments cannot be used.
pub fn unreadable(error: RecordError) -> CommandFailure {
    CommandFailure::outside(
        format!("read the applied environments: {}", chain(&error)),
        "is the [store] directory usable?",
    )
}

/// The environments that were applied before, made live again.
pub async fn restored(world: &World, record_store: SqliteRecordStore) -> Result<Embedded, CommandFailure> {
    let embedded = Embedded::new(world.clone(), Arc::new(record_store));
    embedded.restore().await.map_err(unreadable)?;
    Ok(embedded)
}

/// The world on this machine with the sets of the configuration.
pub fn world(
    settings: &Settings,
    store: &SqliteStore,
    github: Arc<dyn GitHub>,
    distribution: PathBuf,
    clock: Arc<dyn Clock>,
) -> Result<World, CommandFailure> {
    let local = LocalConfig::new(settings.machines.clone(), settings.supervisor.clone(), distribution);
    let machines = LocalMachines::new(local, clock.clone()).map_err(|error| {
        CommandFailure::outside(
            format!("prepare {}: {}", settings.machines.display(), chain(&error)),
            "the directory must be writable and its disk must have room",
        )
    })?;
    let here = Ports {
        queue: Arc::new(store.queue()),
        lookups: Some(Arc::new(store.lookups())),
        ledger: Arc::new(store.ledger()),
        machines: Arc::new(machines),
        hand_off: Arc::new(LocalHandOff::new(&settings.machines)),
        github,
        clock,
    };
    let world = World {
        ports: settings.cloud.ports(here),
        sets: Sets::new(settings.sets.clone()),
        retired: settings.retired.clone(),
        limits: settings.limits,
        levels: Arc::new(Levels::default()),
        metrics: Arc::new(Metrics::new()),
        holder: format!("{}-{}", hostname(), std::process::id()),
        lease_ttl: settings.rhythm.lease,
        tasks: Arc::default(),
        faults: Arc::default(),
        observer: None,
    };
    Ok(world)
}

/// Opens the embedded store.
pub fn open_store(data: &Path, clock: Arc<dyn Clock>) -> Result<SqliteStore, CommandFailure> {
    std::fs::create_dir_all(data).map_err(|error| {
        CommandFailure::outside(format!("make {}: {error}", data.display()), "choose a writable [store] directory")
    })?;
    SqliteStore::open(&data.join(LEDGER), clock).map_err(|error| {
        CommandFailure::outside(
            format!("open the ledger in {}: {}", data.display(), chain(&error)),
            "the directory must be writable; a ledger of a newer version needs a newer program",
        )
    })
}

fn hostname() -> String {
    nix::unistd::gethostname().map_or_else(|_| "here".into(), |name| name.to_string_lossy().into_owned())
}

/// Ready when the ledger answers and every set that was there at the start was looked at once.
struct Ready {
    world: World,
    first: BTreeSet<ScaleSetName>,
}

#[async_trait]
impl runnersmith_web::Readiness for Ready {
    async fn ready(&self) -> Result<(), String> {
        self.world.ports.ledger.ping().await.map_err(|error| chain(&error))?;
        // What it said is in the log and behind the dashboard's token: this page is open to everybody.
        if !self.world.tasks.panicked().is_empty() {
            return Err("a background task panicked and was started again; see the log".into());
        }
        // Sets that came later do not make a server that takes deliveries unready.
        let (levels, sets) = (self.world.levels.all(), self.world.sets.load());
        let first: Vec<_> = sets.iter().filter(|set| self.first.contains(&set.name)).collect();
        let looked = first.iter().filter(|set| levels.contains_key(&set.name)).count();
        if looked < first.len() {
            return Err(format!("{looked} of {} scale sets were checked", first.len()));
        }
        Ok(())
    }
}

/// `runnersmith serve`.
pub async fn command(options: cli::Serve) -> Result<ExitStatus, CommandFailure> {
    let config = crate::query::read_config(&options.file.config)?;
    startup::logs(config.log.json, &config.log.level);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let settings = crate::query::settings(&config).await?;
    let mut signals = startup::StopSignals::new()?;
    let server = tokio::select! {
        server = Server::start(settings) => server?,
        () = signals.next() => {
            tracing::info!("stopped before it served");
            return Ok(ExitStatus::Success);
        }
    };
    let is_stopped = tokio::select! { () = announced(&server) => false, () = signals.next() => true };
    if !is_stopped {
        signals.next().await;
    }
    tracing::info!("stopping");
    tokio::select! {
        () = server.stop() => Ok(ExitStatus::Success),
        () = signals.next() => Err(CommandFailure {
            status: ExitStatus::RequestFailed,
            what: "a second signal stopped the server at once, without waiting for running operations".into(),
            hint: Some(
                "if Terraform was at work it may be cut off: the next server's `/status` says so, and `/plan` shows what is left"
                    .into(),
            ),
        }),
    }
}

/// Says that the server is there, and whether GitHub knows it.
async fn announced(server: &Server) {
    match server.world.ports.github.whoami().await {
        Ok(slug) => tracing::info!(app = %slug, "GitHub knows the App"),
        // The server goes on: deliveries are stored, and the key may be corrected meanwhile.
        Err(error) => {
            let (what, kind) = unknown_app(&error);
            tracing::error!(error = %chain(&error), fix = kind.fix(), "{what}");
        }
    }
    tracing::info!(address = %server.address, sets = server.world.sets.load().len(), environments = server.embedded.live().len(), "serving");
    report::note(&format!("dashboard: http://{}/", server.address));
}

/// Why GitHub did not say which App this is. Its outage and its limit say nothing of the App.
const fn unknown_app(error: &GitHubError) -> (&'static str, FaultKind) {
    match error {
        GitHubError::RateLimited { .. } => ("GitHub's rate limit holds the first call back", FaultKind::GithubLimited),
        GitHubError::Transient { .. } => ("GitHub does not answer the first call", FaultKind::GithubDown),
        GitHubError::Unauthorized { .. }
        | GitHubError::NotInstalled { .. }
        | GitHubError::NotFound { .. }
        | GitHubError::Refused { .. }
        | GitHubError::Conflict { .. }
        | GitHubError::Busy { .. } => ("GitHub does not accept the App", FaultKind::AppRefused),
    }
}

#[cfg(test)]
mod tests {
    use runnersmith_types::Timestamp;

    use super::*;

    #[test]
    fn githubs_outage_and_its_limit_are_not_called_a_refused_app() {
        let (operation, subject) = ("app", String::new);
        let down = GitHubError::Transient { operation, subject: subject(), source: "503".into() };
        let limited =
            GitHubError::RateLimited { operation, subject: subject(), until: Timestamp::from_secs(1_795_916_937) };
        let refused = GitHubError::Unauthorized { operation, subject: subject(), message: "Bad credentials".into() };
        let kinds = [&down, &limited, &refused].map(|error| unknown_app(error).1);
        assert_eq!(kinds, [FaultKind::GithubDown, FaultKind::GithubLimited, FaultKind::AppRefused]);
        assert!(limited.to_string().ends_with("rate limited until 2026-11-29 01:48:57.000Z"), "{limited}");
    }

    async fn ending(loops: u64, requests: u64, within: u64) -> u64 {
        let begun = tokio::time::Instant::now();
        let busy = |seconds| JoinSet::from_iter([tokio::time::sleep(Duration::from_secs(seconds))]);
        ended(busy(loops), (busy(requests), Duration::from_secs(within))).await;
        begun.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn loops_and_requests_are_waited_for_as_long_as_each_may_take() {
        assert_eq!(ending(1, 2, 390).await, 2);
        assert_eq!(ending(3_600, 2, 390).await, 20, "loops have 20 s");
        assert_eq!(ending(1, 300, 390).await, 300, "Terraform comes to its end");
        assert_eq!(ending(1, 3_600, 390).await, 390);
        assert_eq!(ending(1, 3_600, 20).await, 20);
    }
}
