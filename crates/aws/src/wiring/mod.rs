//! The `[aws]` section of a configuration as ports.
//!
//! The server and the functions are different shells around the same loop; both read the section here, so that it means the
//! same to both. What the section does not name stays as it was: any mix works. Machines on EC2 are passed in, because this
//! package links no EC2 code.

mod secret_parameters;
mod split;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use runnersmith_config::{AwsSection, Config};
use runnersmith_controllers::{Ports, consume, lookups};
use runnersmith_ports::{Clock, HandOff, Ledger, Machines, Queue};
use runnersmith_types::{ScaleSetName, Secret};

use crate::{AwsFailure, DynamoLedger, ParameterHandOff, Parameters, Session, SqsQueue};

pub use secret_parameters::SecretParameters;
pub use split::{SplitHandOff, SplitMachines};

/// Parameter Store answers at most ten names in one call.
const NAMES_AT_ONCE: usize = 10;

/// A session with AWS, and which of the control plane's parts are there.
#[derive(Clone, Debug)]
pub struct AwsServices {
    session: Session,
    aws: AwsSection,
    history: Duration,
}

impl AwsServices {
    /// As the configuration says; credentials come from where the SDK looks for them.
    pub async fn new(aws: &AwsSection, history: Duration) -> Self {
        let session = Session::from_environment(aws.region.as_deref(), aws.endpoint_url.as_deref()).await;
        Self { session, aws: aws.clone(), history }
    }

    /// With a session that is there already.
    #[must_use]
    pub fn with_session(session: Session, aws: &AwsSection, history: Duration) -> Self {
        Self { session, aws: aws.clone(), history }
    }

    /// The secrets that lie in Parameter Store, by name. The ones that are not there are left out.
    ///
    /// # Errors
    /// When Parameter Store refuses.
    pub async fn secrets(&self, names: &BTreeSet<String>) -> Result<BTreeMap<String, Secret>, AwsFailure> {
        let (parameters, names) = (Parameters::new(&self.session), names.iter().cloned().collect::<Vec<_>>());
        let mut found = BTreeMap::new();
        for chunk in names.chunks(NAMES_AT_ONCE) {
            found.extend(parameters.named(chunk).await?);
        }
        Ok(found)
    }

    /// The queue on SQS, if it is there.
    #[must_use]
    pub fn queue(&self) -> Option<Arc<dyn Queue>> {
        let url = self.aws.queue_url.as_deref()?;
        let dead = self.aws.dead_letter_queue_url.as_deref();
        Some(Arc::new(SqsQueue::new(&self.session, url, dead, consume::VISIBILITY)))
    }

    /// The queue of look-ups on SQS, if it is there.
    #[must_use]
    pub fn lookups(&self) -> Option<Arc<dyn Queue>> {
        let url = self.aws.lookup_queue_url.as_deref()?;
        let dead = self.aws.dead_letter_queue_url.as_deref();
        Some(Arc::new(SqsQueue::new(&self.session, url, dead, lookups::VISIBILITY)))
    }

    /// The ledger on DynamoDB, if it is there.
    #[must_use]
    pub fn ledger(&self, clock: Arc<dyn Clock>) -> Option<Arc<dyn Ledger>> {
        Some(Arc::new(self.dynamo(clock)?))
    }

    /// The ledger on DynamoDB for commands that only read, if it is there.
    #[must_use]
    pub fn ledger_for_reading(&self, clock: Arc<dyn Clock>) -> Option<Arc<dyn Ledger>> {
        Some(Arc::new(self.dynamo(clock)?.for_reading()))
    }

    fn dynamo(&self, clock: Arc<dyn Clock>) -> Option<DynamoLedger> {
        Some(DynamoLedger::new(&self.session, self.aws.table.as_deref()?, self.history, clock))
    }

    /// The hand-off by parameters, if a path is given.
    #[must_use]
    pub fn hand_off(&self) -> Option<Arc<dyn HandOff>> {
        let path = self.aws.hand_off_path.as_deref()?;
        Some(Arc::new(ParameterHandOff::new(&self.session, path, self.aws.encryption.clone())))
    }

    /// The session with AWS.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// The ports of this process, each replaced by AWS's where the section names it. `ec2` has the machines of `sets`, which are on
    /// EC2; all others stay on this host.
    #[must_use]
    pub fn ports(&self, here: Ports, sets: BTreeSet<ScaleSetName>, ec2: Arc<dyn Machines>) -> Ports {
        let clock = here.clock.clone();
        let hand_off: Arc<dyn HandOff> = match self.hand_off() {
            Some(there) => Arc::new(SplitHandOff { here: here.hand_off, there }),
            None => here.hand_off,
        };
        let machines: Arc<dyn Machines> = if sets.is_empty() {
            here.machines
        } else {
            Arc::new(SplitMachines { here: Some(here.machines), there: ec2, sets })
        };
        Ports {
            // Both or none: what lies in SQS outlasts this host, and a file of it need not.
            lookups: if self.queue().is_some() { self.lookups() } else { here.lookups },
            queue: self.queue().unwrap_or(here.queue),
            ledger: self.ledger(clock.clone()).unwrap_or(here.ledger),
            machines,
            hand_off,
            github: here.github,
            clock,
        }
    }
}

/// The names of all parameters in which a configuration's secrets lie.
#[must_use]
pub fn secret_names(config: &Config) -> BTreeSet<String> {
    let github = &config.github;
    let sources = [Some(&github.private_key), Some(&github.webhook_secret), github.previous_webhook_secret.as_ref()];
    let named = |source: &runnersmith_config::Source| match source {
        runnersmith_config::Source::Parameter(name) => Some(name.clone()),
        runnersmith_config::Source::File(_) | runnersmith_config::Source::Env(_) => None,
    };
    sources.into_iter().flatten().filter_map(named).chain(github.ca_parameter.clone()).collect()
}
