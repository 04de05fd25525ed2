//! The world of a function, made from the settings and made again when they are old.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lambda_runtime::Error;
use runnersmith_aws::wiring::{AwsServices, SplitMachines};
use runnersmith_controllers::levels::Levels;
use runnersmith_controllers::metrics::Metrics;
use runnersmith_controllers::{CallLimits, Ports, Sets, World, housekeeping};
use runnersmith_ec2::Ec2Machines;
use runnersmith_github::GitHubClient;
use runnersmith_lambda::settings::FRESH_FOR;
use runnersmith_lambda::{LambdaSettings, variable};
use runnersmith_ports::{Clock, SystemClock, chain};
use runnersmith_types::{ScaleSetName, Timestamp};
use tokio::sync::Mutex;

/// A control plane as the settings say.
pub(crate) struct ControlPlane {
    /// Its world.
    pub world: World,
    /// Its machines, for what only EC2 can be asked.
    pub machines: Arc<Ec2Machines>,
    /// Sets whose settings cannot be read now.
    pub left_out: BTreeSet<ScaleSetName>,
    /// How long history is kept.
    pub history: Duration,
    /// The address of the look-ups' queue, by which their batches are recognized.
    pub lookup_queue: Option<String>,
    made_at: Timestamp,
}

/// The control plane of now.
#[derive(Default)]
pub(crate) struct ControlPlanes(Mutex<Option<Arc<ControlPlane>>>);

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
        match make(clock).await {
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

async fn make(clock: Arc<dyn Clock>) -> Result<ControlPlane, Error> {
    let settings = LambdaSettings::read().await.map_err(|error| chain(&error))?;
    let metrics = Arc::new(Metrics::new());
    let mut github = settings.github().await.map_err(|error| chain(&error))?;
    let counter = metrics.clone();
    github.counter = Some(Arc::new(move |operation, status| counter.github_call(operation, status)));
    let github = GitHubClient::new(github, clock.clone()).map_err(|error| chain(&error))?;
    let config = settings.config;
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
                there: machines.clone(),
                sets: config.ec2.keys().cloned().collect(),
            }),
            hand_off: services.hand_off().ok_or_else(|| needs("hand_off_path"))?,
            github: Arc::new(github),
            clock: clock.clone(),
        },
        sets: Sets::new(config.scale_sets),
        retired: housekeeping::retired_timing(),
        limits: CallLimits {
            jit_per_minute: config.limits.jit_per_minute,
            calls_per_minute: config.limits.calls_per_minute,
        },
        levels: Arc::new(Levels::default()),
        metrics,
        holder: variable("AWS_LAMBDA_LOG_STREAM_NAME").unwrap_or_else(|| format!("function-{}", std::process::id())),
        lease_ttl: config.timer.lease,
        tasks: Arc::default(),
        faults: Arc::default(),
        observer: None,
    };
    Ok(ControlPlane {
        world,
        machines,
        left_out: settings.left_out,
        history: config.store.history,
        lookup_queue: aws.lookup_queue_url,
        made_at: clock.now(),
    })
}
