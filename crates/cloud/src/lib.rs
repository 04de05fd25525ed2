//! What a configuration says is on AWS, as ports.
//!
//! The server and the functions are different shells around the same world; this is where a `[aws]` section becomes that
//! world, so that both read it alike. What the section does not name stays what it was: any mix works.

mod split;
mod vault;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use runnersmith_aws::ssm::Encryption;
use runnersmith_aws::{DynamoLedger, Failure, ParameterHandOff, Parameters, Session, SqsQueue};
use runnersmith_config::{Aws, Config};
use runnersmith_controllers::{Ports, consume};
use runnersmith_ec2::Ec2Machines;
use runnersmith_ports::{Clock, HandOff, Ledger, Machines, Queue};
use runnersmith_types::{Ec2Set, ScaleSetName, Secret};

pub use split::{SplitHandOff, SplitMachines};
pub use vault::Vault;

/// Parameter Store answers at most ten names in one call.
const NAMES_AT_ONCE: usize = 10;

/// A session with AWS, and what of the plane is there.
#[derive(Clone, Debug)]
pub struct Cloud {
    session: Session,
    aws: Aws,
    history: Duration,
}

impl Cloud {
    /// As the configuration says; credentials come from where the SDK looks for them.
    pub async fn new(aws: &Aws, history: Duration) -> Self {
        let session = Session::from_environment(aws.region.as_deref(), aws.endpoint_url.as_deref()).await;
        Self { session, aws: aws.clone(), history }
    }

    /// With a session that is there already.
    #[must_use]
    pub fn with_session(session: Session, aws: &Aws, history: Duration) -> Self {
        Self { session, aws: aws.clone(), history }
    }

    /// The secrets that lie in Parameter Store, by name. The ones that are not there are left out.
    ///
    /// # Errors
    /// When Parameter Store refuses.
    pub async fn secrets(&self, names: &BTreeSet<String>) -> Result<BTreeMap<String, Secret>, Failure> {
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

    /// The ledger on DynamoDB, if it is there.
    #[must_use]
    pub fn ledger(&self, clock: Arc<dyn Clock>) -> Option<Arc<dyn Ledger>> {
        let table = self.aws.table.as_deref()?;
        Some(Arc::new(DynamoLedger::new(&self.session, table, self.history, clock)))
    }

    /// The hand-off by parameters, if a path is given.
    #[must_use]
    pub fn hand_off(&self) -> Option<Arc<dyn HandOff>> {
        let path = self.aws.hand_off_path.as_deref()?;
        let encryption = match &self.aws.encryption {
            runnersmith_config::Encryption::Plain => Encryption::Plain,
            runnersmith_config::Encryption::Managed => Encryption::Managed,
            runnersmith_config::Encryption::Key(id) => Encryption::Key(id.clone()),
        };
        Some(Arc::new(ParameterHandOff::new(&self.session, path, encryption)))
    }

    /// Machines on EC2 for these sets.
    #[must_use]
    pub fn machines(&self, sets: &BTreeMap<ScaleSetName, Ec2Set>) -> Arc<Ec2Machines> {
        Arc::new(Ec2Machines::new(&self.session, sets.clone()))
    }

    /// The ports with what is on AWS put in place of what is not.
    #[must_use]
    pub fn ports(&self, here: Ports, sets: &BTreeMap<ScaleSetName, Ec2Set>) -> Ports {
        let clock = here.clock.clone();
        let hand_off: Arc<dyn HandOff> = match self.hand_off() {
            Some(there) => Arc::new(SplitHandOff { here: here.hand_off, there }),
            None => here.hand_off,
        };
        let machines: Arc<dyn Machines> = if sets.is_empty() {
            here.machines
        } else {
            let there = self.machines(sets);
            Arc::new(SplitMachines { here: Some(here.machines), there, sets: sets.keys().cloned().collect() })
        };
        Ports {
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
