//! The world of a function, made from the settings and made again when they are old.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lambda_runtime::Error;
use runnersmith_aws::wiring::{AwsServices, SplitMachines};
use runnersmith_controllers::faults::{Fault, Faults};
use runnersmith_controllers::levels::Levels;
use runnersmith_controllers::metrics::Metrics;
use runnersmith_controllers::tasks::{self, FaultsStored};
use runnersmith_controllers::{CallLimits, Ports, Sets, World, housekeeping};
use runnersmith_ec2::Ec2Machines;
use runnersmith_github::{GitHubClient, GitHubConfig};
use runnersmith_lambda::settings::FRESH_FOR;
use runnersmith_lambda::{LambdaSettings, variable};
use runnersmith_ports::{Clock, GitHub, SystemClock, chain};
use runnersmith_types::{ScaleSet, ScaleSetName, Timestamp};
use tokio::sync::Mutex;

/// A control plane as the settings say.
pub(crate) struct ControlPlane {
    /// Its world.
    pub world: World,
    /// Sets whose settings cannot be read now.
    pub left_out: BTreeSet<ScaleSetName>,
    /// How long history is kept.
    pub history: Duration,
    /// How often the schedule sweeps.
    pub sweep_every: Duration,
    /// The address of the look-ups' queue, by which their batches are recognized.
    pub lookup_queue: Option<String>,
    /// What its GitHub client was made from.
    github: GitHubConfig,
    made_at: Timestamp,
}

/// So long storing of faults may take: less than what a function spares before its deadline.
const STORED_WITHIN: Duration = Duration::from_secs(1);

/// The control plane of now, and when its faults were stored.
#[derive(Default)]
pub(crate) struct ControlPlanes(Mutex<Option<Arc<ControlPlane>>>, FaultsStored);

impl ControlPlanes {
    /// The control plane, made again when its settings are old. One that cannot be made again goes on as it was.
    pub async fn fresh(&self) -> Result<Arc<ControlPlane>, Error> {
        let mut known = self.0.lock().await;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        if let Some(control_plane) =
            known.as_ref().filter(|control_plane| clock.now().since(control_plane.made_at) < FRESH_FOR)
        {
            return Ok(control_plane.clone());
        }
        let made = make(clock, known.as_deref()).await;
        match made {
            Ok(control_plane) => Ok(known.insert(Arc::new(control_plane)).clone()),
            Err(error) => match known.as_ref() {
                Some(old) => {
                    tracing::error!(error = %error, "settings could not be read again; the old ones hold");
                    Ok(old.clone())
                }
                None => Err(error),
            },
        }
    }
}

impl ControlPlanes {
    /// Stores what is wrong with this function, for `status`. An invocation neither fails by that nor takes longer than it may.
    pub async fn store_faults(&self, function: &str, world: &World, faults: Vec<Fault>) {
        let (ports, now) = (&world.ports, world.ports.clock.now());
        if !self.1.is_due(&faults, now) {
            return;
        }
        self.1.tried(now);
        let storing = tasks::store_function(ports.ledger.as_ref(), ports.clock.as_ref(), function, faults.clone());
        match tokio::time::timeout(STORED_WITHIN, storing).await {
            Ok(Ok(())) => self.1.stored(&faults, now),
            Ok(Err(error)) => {
                tracing::warn!(error = %chain(&error), "what is wrong could not be stored; `status` shows it later");
            }
            Err(_) => tracing::warn!("what is wrong could not be stored in time; `status` shows it later"),
        }
    }
}

/// Makes the control plane. Where nothing of it has changed, the GitHub client of the one before goes on: its tokens, installations and
/// limits would have to be asked for again, every five minutes in each function.
async fn make(clock: Arc<dyn Clock>, before: Option<&ControlPlane>) -> Result<ControlPlane, Error> {
    let settings = LambdaSettings::read().await.map_err(|error| chain(&error))?;
    let mut github_config = settings.github().await.map_err(|error| chain(&error))?;
    let same = before.filter(|before| before.github.makes_same_client(&github_config));
    // The client counts into the metrics with which it was made.
    let metrics = same.map_or_else(|| Arc::new(Metrics::new()), |same| same.world.metrics.clone());
    // What is wrong stays so, whatever the settings.
    let (levels, faults): (Arc<Levels>, Arc<Faults>) =
        before.map_or_else(Default::default, |before| (before.world.levels.clone(), before.world.faults.clone()));
    let github: Arc<dyn GitHub> = match same {
        Some(same) => same.world.ports.github.clone(),
        None => {
            let (noticed, at) = (faults.clone(), clock.clone());
            github_config.notices = Some(Arc::new(move |notice| noticed.noticed(notice, at.now())));
            let (counter, seen, time) = (metrics.clone(), faults.clone(), clock.clone());
            github_config.counter = Some(Arc::new(move |operation, status| {
                counter.github_call(operation, status);
                seen.github_answered(operation, status, time.now());
            }));
            Arc::new(GitHubClient::new(github_config.clone(), clock.clone()).map_err(|error| chain(&error))?)
        }
    };
    let config = settings.config;
    forget_levels(&levels, &config.scale_sets);
    let aws = config.aws.clone().unwrap_or_default();
    let services = AwsServices::with_session(settings.session, &aws, config.store.history);
    let needs = |what: &str| format!("the control plane's settings have no aws.{what}, which a function needs");
    let machines = Arc::new(Ec2Machines::new(services.session(), config.ec2.clone()));
    let world = World {
        ports: Ports {
            queue: services.queue().ok_or_else(|| needs("queue_url"))?,
            lookups: services.lookups(),
            ledger: services.ledger(clock.clone()).ok_or_else(|| needs("table"))?,
            machines: Arc::new(SplitMachines {
                here: None,
                there: machines,
                sets: config.ec2.keys().cloned().collect(),
            }),
            hand_off: services.hand_off().ok_or_else(|| needs("hand_off_path"))?,
            github,
            clock: clock.clone(),
        },
        sets: Sets::new(config.scale_sets),
        retired: housekeeping::retired_timing(),
        limits: CallLimits {
            jit_per_minute: config.limits.jit_per_minute,
            calls_per_minute: config.limits.calls_per_minute,
        },
        levels,
        metrics,
        holder: variable("AWS_LAMBDA_LOG_STREAM_NAME").unwrap_or_else(|| format!("function-{}", std::process::id())),
        lease_ttl: config.timer.lease,
        tasks: Arc::default(),
        faults,
        observer: None,
    };
    Ok(ControlPlane {
        world,
        left_out: settings.left_out,
        history: config.store.history,
        sweep_every: config.timer.sweep,
        lookup_queue: aws.lookup_queue_url,
        github: github_config,
        made_at: clock.now(),
    })
}

/// Sets that are not in the settings any more have no level.
fn forget_levels(levels: &Levels, sets: &[ScaleSet]) {
    let named = |name: &ScaleSetName| sets.iter().any(|set| set.name == *name);
    levels.all().into_keys().filter(|name| !named(name)).for_each(|name| levels.forget(&name));
}
