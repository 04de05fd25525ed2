//! What of this server is on AWS. Without the feature `aws` it is nothing, and a configuration that wants it is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

#[cfg(feature = "aws")]
use runnersmith_aws::wiring::{AwsServices, secret_names};
#[cfg(feature = "aws")]
use runnersmith_aws::{AwsFailureKind, Session, StoredSettings, StoredSettingsError};
use runnersmith_config::Config;
use runnersmith_controllers::Ports;
#[cfg(feature = "aws")]
use runnersmith_ports::chain;
use runnersmith_ports::{Clock, Ledger};
use runnersmith_types::{ScaleSet, Secret};
use serde::Serialize;

use crate::exit::CommandFailure;
#[cfg(feature = "aws")]
use crate::exit::ExitStatus;

/// What is read of an environment.
#[derive(Clone, Debug, Serialize)]
pub struct EnvironmentSource {
    /// Its name.
    pub environment: String,
    /// Its region.
    pub region: String,
    /// The ledger's table.
    pub table: String,
    /// The path of the settings in Parameter Store.
    pub settings: String,
    /// Parameters that are left out, and why.
    #[serde(skip)]
    pub left_out: Vec<(String, String)>,
}

impl std::fmt::Display for EnvironmentSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { environment, region, table, settings, .. } = self;
        write!(f, "environment {environment} in {region}: table {table}, settings below {settings}")
    }
}

/// Returns the ledger on AWS; `None` when the configuration does not put it there. No secret is asked for.
///
/// # Errors
/// Never.
#[cfg(feature = "aws")]
pub async fn ledger(config: &Config, clock: Arc<dyn Clock>) -> Result<Option<Arc<dyn Ledger>>, CommandFailure> {
    let Some(aws) = config.aws.as_ref().filter(|aws| aws.table.is_some()) else { return Ok(None) };
    Ok(AwsServices::new(aws, config.store.history).await.ledger_for_reading(clock))
}

/// Opens an environment of the Terraform module for reading: the settings that its functions read, and its ledger. No secret is asked
/// for.
///
/// # Errors
/// When the environment is not there, may not be read, or its settings are wrong.
#[cfg(feature = "aws")]
pub async fn environment(
    name: &str,
    region: Option<&str>,
    clock: Arc<dyn Clock>,
) -> Result<(Config, Arc<dyn Ledger>, EnvironmentSource), CommandFailure> {
    let usage = |what: String, hint: &str| CommandFailure { status: ExitStatus::Usage, what, hint: Some(hint.into()) };
    let path = StoredSettings::path_of_environment(name).ok_or_else(|| {
        usage(format!("no environment can be named {name:?}"), "it is the input `environment` of the Terraform module")
    })?;
    let session = Session::from_environment(region, None).await;
    let Some(region) = session.region().map(str::to_owned) else {
        return Err(usage("no AWS region is given".into(), "give --region, or set AWS_REGION or AWS_PROFILE"));
    };
    let settings = StoredSettings::path(&path);
    let read = StoredSettings::read(&session, &settings).await;
    let StoredSettings { config, left_out } = read.map_err(|error| unread(name, &region, &error))?;
    let left_out: Vec<(String, String)> = left_out
        .into_iter()
        .map(|(parameter, error)| (format!("{settings}/{parameter}"), chain(&error).to_string()))
        .collect();
    for (parameter, error) in &left_out {
        crate::report::note(&format!("warning: {parameter} is left out: {error}"));
    }
    let found = config.aws.as_ref().and_then(|aws| {
        let ledger = AwsServices::with_session(session, aws, config.store.history).ledger_for_reading(clock)?;
        Some((ledger, aws.table.clone()?))
    });
    let Some((ledger, table)) = found else {
        let what = format!("the settings of environment {name} in {region} name no ledger");
        return Err(CommandFailure::config(what, "its Terraform module writes aws.table into them"));
    };
    let source = EnvironmentSource { environment: name.to_owned(), region, table, settings, left_out };
    Ok((config, ledger, source))
}

/// Why an environment cannot be read.
#[cfg(feature = "aws")]
fn unread(name: &str, region: &str, error: &StoredSettingsError) -> CommandFailure {
    match error {
        StoredSettingsError::Missing(parameter) => CommandFailure::outside(
            format!("there is no environment {name} in region {region}: it has no parameter {parameter}"),
            "check the name (the input `environment` of the Terraform module), --region, and which account AWS_PROFILE leads to",
        ),
        StoredSettingsError::Read { source, .. } if source.kind() == AwsFailureKind::Denied => CommandFailure::outside(
            format!("environment {name} in region {region} may not be read: {}", chain(error)),
            "check the name; the Terraform module's input `readers` and its output `reader_policy` say who may read and what is needed",
        ),
        StoredSettingsError::Read { .. } => CommandFailure::outside(
            format!("environment {name} in region {region} could not be read: {}", chain(error)),
            "credentials and region come from the usual places (AWS_PROFILE, AWS_REGION)",
        ),
        StoredSettingsError::Invalid { .. } => CommandFailure::config(
            format!("environment {name} in region {region}: {}", chain(error)),
            "use the program of the version that the environment's module and functions have",
        ),
    }
}

/// Returns nothing: this program was built without AWS.
///
/// # Errors
/// Always.
#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "the same face with and without AWS")]
pub async fn environment(
    _name: &str,
    _region: Option<&str>,
    _clock: Arc<dyn Clock>,
) -> Result<(Config, Arc<dyn Ledger>, EnvironmentSource), CommandFailure> {
    let hint = "build it with `cargo build --profile dist --features aws`, or take a released program";
    Err(CommandFailure::config("--aws is given, and this program was built without AWS", hint))
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
