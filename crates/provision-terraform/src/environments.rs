//! Environments on AWS: taken out of service before Terraform destroys them.
//!
//! An environment's control plane is found by its settings in Parameter Store. The environment's scale sets are closed in that
//! control plane's ledger, and what is left is counted. GitHub is never asked: a registration counts until the control plane has
//! seen it removed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use runnersmith_aws::wiring::AwsServices;
use runnersmith_aws::{AwsFailure, Parameters, Session};
use runnersmith_config::{Config, ConfigError};
use runnersmith_controllers::closing::{ClosingError, DrainPorts, Remaining, Whose};
use runnersmith_ec2::Ec2Machines;
use runnersmith_issueops::change::Left;
use runnersmith_issueops::policy::{EnvironmentName, EnvironmentShape, Policy};
use runnersmith_issueops_engine::{Fleet, FleetError};
use runnersmith_ports::{Clock, LedgerError, MachinesError};
use runnersmith_types::ScaleSetName;

/// What is done with Parameter Store, on a control plane's `config` and on its hand-offs.
pub const PARAMETER_OPERATIONS: [&str; 3] = ["ssm:GetParameters", "ssm:GetParametersByPath", "ssm:DeleteParameter"];
/// What is done with the ledger's table.
pub const LEDGER_OPERATIONS: [&str; 7] = runnersmith_aws::dynamodb::OPERATIONS;
/// What is done with machines.
pub const MACHINE_OPERATIONS: [&str; 2] = ["ec2:DescribeInstances", "ec2:TerminateInstances"];
/// What is done with the queue.
pub const QUEUE_OPERATIONS: [&str; 1] = ["sqs:SendMessage"];

/// Why jobs are ended, in the ledger's history.
const KILLED: &str = "the environment is deleted, and its approval says that running jobs are ended";

/// Environments on AWS.
pub struct AwsEnvironments {
    /// One for each region where environments may be.
    sessions: Vec<Session>,
    shape: EnvironmentShape,
    clock: Arc<dyn Clock>,
}

/// Why an environment could not be looked at.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0:?} is not an environment's name")]
    Name(String),
    #[error("read the control plane's settings below {path}")]
    Settings {
        path: String,
        #[source]
        source: AwsFailure,
    },
    #[error("the control plane's settings below {path}")]
    Invalid {
        path: String,
        #[source]
        source: ConfigError,
    },
    #[error("the control plane's settings below {path} have no aws.{field}")]
    Incomplete { path: String, field: &'static str },
    #[error("read the control plane's ledger")]
    Ledger(#[from] LedgerError),
    #[error("list the control plane's machines")]
    Machines(#[from] MachinesError),
    #[error(transparent)]
    Closing(#[from] ClosingError),
}

/// A control plane in one region, and the sets of it that are the environment's.
struct Found {
    ports: DrainPorts,
    sets: BTreeSet<ScaleSetName>,
    whose: Whose,
}

impl AwsEnvironments {
    /// Environments of this shape, in the regions of these sessions: an environment's control plane may be in any of them.
    #[must_use]
    pub fn new(sessions: Vec<Session>, shape: EnvironmentShape, clock: Arc<dyn Clock>) -> Self {
        Self { sessions, shape, clock }
    }

    /// As the platform policy says: its shape, and a session for each of its networks' regions, with the credentials of the
    /// process's surroundings. `endpoint` is an emulator's.
    pub async fn of_policy(policy: &Policy, endpoint: Option<&str>, clock: Arc<dyn Clock>) -> Self {
        let regions: BTreeSet<String> = policy.networks.iter().map(|network| network.region.to_string()).collect();
        let mut sessions = Vec::with_capacity(regions.len());
        for region in regions {
            sessions.push(Session::from_environment(Some(&region), endpoint).await);
        }
        Self::new(sessions, policy.shape.clone(), clock)
    }

    async fn find(&self, environment: &str) -> Result<Vec<Found>, Trouble> {
        // The name becomes part of a path.
        let name = EnvironmentName::parse(environment).map_err(|_| Trouble::Name(environment.to_owned()))?;
        let (path, whole) = match &self.shape {
            EnvironmentShape::OwnStack => (format!("/runnersmith/{name}"), true),
            EnvironmentShape::SharedPlane { plane_path } => (plane_path.trim_end_matches('/').to_owned(), false),
        };
        let mut found = Vec::new();
        for session in &self.sessions {
            found.extend(self.control_plane(session, &path, (!whole).then_some(&name)).await?);
        }
        Ok(found)
    }

    /// The control plane at this path, if there is one; `only` this set's, or all.
    async fn control_plane(
        &self,
        session: &Session,
        path: &str,
        only: Option<&EnvironmentName>,
    ) -> Result<Option<Found>, Trouble> {
        let settings = |source| Trouble::Settings { path: path.to_owned(), source };
        let parameters = Parameters::new(session);
        let name = format!("{path}/config/plane");
        let Some(control_plane) = parameters.named(std::slice::from_ref(&name)).await.map_err(settings)?.remove(&name)
        else {
            return Ok(None);
        };
        let (config, _) = Config::from_parameters(&format!("{path}/config"), control_plane.expose(), &BTreeMap::new())
            .map_err(|source| Trouble::Invalid { path: path.to_owned(), source })?;
        let aws = config.aws.clone().unwrap_or_default();
        let services = AwsServices::with_session(session.clone(), &aws, config.store.history);
        let missing = |field| Trouble::Incomplete { path: path.to_owned(), field };
        let ports = DrainPorts {
            ledger: services.ledger(self.clock.clone()).ok_or_else(|| missing("table"))?,
            // Listing and ending go by tags and ids; no set's launch settings are needed.
            machines: Arc::new(Ec2Machines::new(services.session(), BTreeMap::new())),
            hand_off: services.hand_off().ok_or_else(|| missing("hand_off_path"))?,
            queue: services.queue().ok_or_else(|| missing("queue_url"))?,
            clock: self.clock.clone(),
        };
        let (sets, whose) = match only {
            Some(name) => (BTreeSet::from([ScaleSetName::from(name)]), Whose::TheSets),
            None => {
                let named = parameters.below(&format!("{path}/config/sets")).await.map_err(settings)?;
                let mut sets: BTreeSet<ScaleSetName> =
                    named.keys().filter_map(|name| ScaleSetName::parse(name).ok()).collect();
                // Sets whose policy is gone may have runners, or machines, all the same.
                let counts = ports.ledger.counts().await?;
                sets.extend(counts.into_iter().filter(|(_, alive, _)| *alive > 0).map(|(set, _, _)| set));
                sets.extend(ports.ledger.closed().await?);
                sets.extend(ports.machines.sets(&ports.ledger.control_plane().await?).await?);
                (sets, Whose::Everybody)
            }
        };
        Ok(Some(Found { ports, sets, whose }))
    }

    async fn drained(&self, environment: &str, kill_jobs: bool) -> Result<Left, Trouble> {
        let mut left = Left::default();
        for found in self.find(environment).await? {
            let remaining = found.ports.close(&found.sets, found.whose, kill_jobs.then_some(KILLED)).await?;
            let Remaining { jobs, machines, registrations, hand_offs } = remaining;
            left.jobs += jobs;
            left.machines += machines;
            left.registrations += registrations;
            left.hand_offs += hand_offs;
        }
        // Log groups of machines are Terraform's and go with the rest. No machine can make one: its role may write to the
        // groups that are there and no more (terraform/modules/scale-set/role.tf), and no machine is left by then.
        left.log_groups = 0;
        Ok(left)
    }

    async fn opened(&self, environment: &str) -> Result<(), Trouble> {
        for found in self.find(environment).await? {
            let closed = found.ports.ledger.closed().await?;
            found.ports.open(&closed.intersection(&found.sets).cloned().collect()).await?;
        }
        Ok(())
    }

    async fn forgotten(&self, environment: &str) -> Result<(), Trouble> {
        for found in self.find(environment).await? {
            found.ports.forget(&found.sets).await?;
        }
        Ok(())
    }
}

fn failed(operation: &'static str, environment: &str) -> impl Fn(Trouble) -> FleetError {
    let environment = environment.to_owned();
    move |trouble| FleetError { operation, environment: environment.clone(), source: trouble.into() }
}

#[async_trait]
impl Fleet for AwsEnvironments {
    async fn drain(&self, environment: &str, kill_jobs: bool) -> Result<Left, FleetError> {
        self.drained(environment, kill_jobs).await.map_err(failed("drain", environment))
    }

    async fn end_drain(&self, environment: &str) -> Result<(), FleetError> {
        self.opened(environment).await.map_err(failed("end the draining of", environment))
    }

    async fn forget(&self, environment: &str) -> Result<(), FleetError> {
        self.forgotten(environment).await.map_err(failed("forget the draining of", environment))
    }
}
