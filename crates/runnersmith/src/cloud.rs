//! What of this server is on AWS. Without the feature `aws` it is nothing, and a configuration that wants it is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

#[cfg(feature = "aws")]
use runnersmith_aws::wiring::{AwsServices, secret_names};
use runnersmith_config::Config;
use runnersmith_controllers::Ports;
use runnersmith_ports::{Clock, Ledger};
use runnersmith_types::{ScaleSet, Secret};

use crate::exit::CommandFailure;

/// Returns the ledger on AWS; `None` when the configuration does not put it there. No secret is asked for.
///
/// # Errors
/// Never.
#[cfg(feature = "aws")]
pub async fn ledger(config: &Config, clock: Arc<dyn Clock>) -> Result<Option<Arc<dyn Ledger>>, CommandFailure> {
    let Some(aws) = config.aws.as_ref().filter(|aws| aws.table.is_some()) else { return Ok(None) };
    Ok(AwsServices::new(aws, config.store.history).await.ledger_for_reading(clock))
}

/// Returns nothing: without the feature no ledger is on AWS.
///
/// # Errors
/// When the configuration puts it there.
#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "the same face with and without AWS")]
pub async fn ledger(config: &Config, _clock: Arc<dyn Clock>) -> Result<Option<Arc<dyn Ledger>>, CommandFailure> {
    match config.aws.as_ref().is_some_and(|aws| aws.table.is_some()) {
        true => Err(not_built()),
        false => Ok(None),
    }
}

#[cfg(not(feature = "aws"))]
fn not_built() -> CommandFailure {
    CommandFailure::config(
        "the configuration names AWS, and this program was built without it",
        "build it with `cargo build --profile dist --features aws`, or take a released program",
    )
}

/// What is on AWS, if anything.
#[derive(Clone, Debug, Default)]
pub struct CloudHere {
    #[cfg(feature = "aws")]
    found: Option<(AwsServices, Config)>,
}

#[cfg(feature = "aws")]
impl CloudHere {
    /// As the configuration says.
    ///
    /// # Errors
    /// Never with the feature; without it when the configuration names AWS.
    pub async fn new(config: &Config) -> Result<Self, CommandFailure> {
        let named = config.aws.clone().or_else(|| {
            // A secret in Parameter Store is enough to need AWS.
            (!secret_names(config).is_empty()).then(Default::default)
        });
        let Some(aws) = named else { return Ok(Self::default()) };
        let cloud = AwsServices::new(&aws, config.store.history).await;
        Ok(Self { found: Some((cloud, config.clone())) })
    }

    /// The secrets that lie in Parameter Store.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn secrets(&self, config: &Config) -> Result<BTreeMap<String, Secret>, CommandFailure> {
        let Some((cloud, _)) = &self.found else { return Ok(BTreeMap::new()) };
        cloud.secrets(&secret_names(config)).await.map_err(|failure| {
            CommandFailure::outside(
                format!("read secrets from Parameter Store: {failure}"),
                "credentials and region come from the usual places (AWS_PROFILE, AWS_REGION); ssm:GetParameters must be allowed",
            )
        })
    }

    /// The ports, those on AWS in place of those here.
    pub fn ports(&self, here: Ports) -> Ports {
        match &self.found {
            Some((aws, config)) => {
                let machines = runnersmith_ec2::Ec2Machines::new(aws.session(), config.ec2.clone());
                aws.ports(here, config.ec2.keys().cloned().collect(), Arc::new(machines))
            }
            None => here,
        }
    }

    /// Whether the ledger is on AWS.
    pub fn has_ledger(&self) -> bool {
        self.found.as_ref().is_some_and(|(_, config)| config.aws.as_ref().is_some_and(|aws| aws.table.is_some()))
    }

    /// Whether every set's machines are on EC2.
    pub fn has_all_machines(&self, sets: &[ScaleSet]) -> bool {
        let on_ec2 = |set: &ScaleSet| self.found.as_ref().is_some_and(|(_, config)| config.ec2.contains_key(&set.name));
        sets.iter().all(on_ec2)
    }
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_self, clippy::unused_async, reason = "the same face with and without AWS")]
impl CloudHere {
    /// Nothing.
    ///
    /// # Errors
    /// When the configuration names AWS.
    pub async fn new(config: &Config) -> Result<Self, CommandFailure> {
        use runnersmith_config::Source;
        let github = &config.github;
        let sources =
            [Some(&github.private_key), Some(&github.webhook_secret), github.previous_webhook_secret.as_ref()];
        let parameter = sources.into_iter().flatten().any(|source| matches!(source, Source::Parameter(_)));
        if config.aws.is_none() && !parameter {
            return Ok(Self::default());
        }
        Err(not_built())
    }

    /// None.
    ///
    /// # Errors
    /// Never.
    pub async fn secrets(&self, _config: &Config) -> Result<BTreeMap<String, Secret>, CommandFailure> {
        Ok(BTreeMap::new())
    }

    /// What is here.
    pub fn ports(&self, here: Ports) -> Ports {
        here
    }

    /// Never.
    pub fn has_ledger(&self) -> bool {
        false
    }

    /// Never, unless there are none.
    pub fn has_all_machines(&self, sets: &[ScaleSet]) -> bool {
        sets.is_empty()
    }
}
