//! Parameter Store: the hand-off of a machine's runner configuration, and the control plane's own settings and secrets.
//!
//! A hand-off is one parameter named after its machine, under a path of which a machine's role may read and delete only
//! its own. Its value is lines, not JSON, so that a shell without a JSON parser can read it.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::operation::get_parameters_by_path::builders::GetParametersByPathFluentBuilder;
use aws_sdk_ssm::types::{Parameter, ParameterTier, ParameterType, Tag};
use runnersmith_ports::{HandOff, HandOffError, RunnerConfig};
use runnersmith_types::{HandOffEncryption, MachineId, RunnerName, RunnerScope, Secret, Timestamp};

use crate::{AwsFailure, AwsFailureKind, Session};

/// What the hand-off may call.
pub const HAND_OFF_OPERATIONS: [&str; 4] =
    ["ssm:PutParameter", "ssm:AddTagsToResource", "ssm:GetParameters", "ssm:DeleteParameter"];
/// A hand-off's tag with its machine's id. A machine's role reads and deletes only what names itself: its policy compares
/// `ec2:SourceInstanceARN`, which nobody on the machine can choose, with this tag.
pub const MACHINE_TAG: &str = "runnersmith-machine";
/// What reading settings may call.
pub const SETTINGS_OPERATIONS: [&str; 2] = ["ssm:GetParametersByPath", "ssm:GetParameters"];
/// All pages of a list together: a function has a minute in all.
const LIST_TIMEOUT: Duration = Duration::from_secs(25);
/// A standard parameter holds 4 KB; longer ones are of the advanced tier (8 KB), which costs.
const STANDARD_BYTES_MAX: usize = 4096;
/// An advanced one.
const ADVANCED_BYTES_MAX: usize = 8192;

/// Parameter Store's words for it: the type, and the key.
fn stored_as(encryption: &HandOffEncryption) -> (ParameterType, Option<&str>) {
    match encryption {
        HandOffEncryption::Plain => (ParameterType::String, None),
        HandOffEncryption::Managed => (ParameterType::SecureString, None),
        HandOffEncryption::Key(id) => (ParameterType::SecureString, Some(id)),
    }
}

/// The hand-off by parameters.
pub struct ParameterHandOff {
    client: Client,
    path: String,
    encryption: HandOffEncryption,
}

impl ParameterHandOff {
    /// Below this path (`/runnersmith/<environment>/hand-off`).
    #[must_use]
    pub fn new(session: &Session, path: &str, encryption: HandOffEncryption) -> Self {
        Self { client: Client::new(session.config()), path: path.trim_end_matches('/').to_owned(), encryption }
    }

    fn name(&self, machine: &MachineId) -> String {
        format!("{}/{machine}", self.path)
    }
}

fn failed(operation: &'static str, machine: &MachineId, failure: AwsFailure) -> HandOffError {
    match failure.kind() {
        AwsFailureKind::Throttled => HandOffError::Throttled { operation, machine: machine.clone() },
        AwsFailureKind::NotFound | AwsFailureKind::Denied | AwsFailureKind::Other => {
            HandOffError::Failed { operation, machine: machine.clone(), source: failure.into() }
        }
    }
}

/// The value that a machine reads. The first line says which kind it is.
#[must_use]
pub fn value(config: &RunnerConfig) -> Secret {
    match config {
        RunnerConfig::Jit { encoded } => Secret::new(format!("jit\n{}", encoded.expose())),
        RunnerConfig::Token { url, token, name, labels, group, ephemeral } => {
            let group = group.as_deref().unwrap_or_default();
            Secret::new(format!("token\n{url}\n{}\n{name}\n{labels}\n{group}\n{ephemeral}", token.expose()))
        }
    }
}

/// The cheapest tier that holds so much.
fn tier(bytes: usize) -> ParameterTier {
    if bytes > STANDARD_BYTES_MAX { ParameterTier::Advanced } else { ParameterTier::Standard }
}

#[async_trait]
impl HandOff for ParameterHandOff {
    async fn put(
        &self,
        machine: &MachineId,
        _runner: &RunnerName,
        _at: &RunnerScope,
        config: &RunnerConfig,
    ) -> Result<(), HandOffError> {
        let value = value(config);
        let bytes = value.expose().len();
        if bytes > ADVANCED_BYTES_MAX {
            let source = format!("the configuration has {bytes} bytes, a parameter holds {ADVANCED_BYTES_MAX}").into();
            return Err(HandOffError::Failed { operation: "put", machine: machine.clone(), source });
        }
        let (kind, key) = stored_as(&self.encryption);
        let tag = Tag::builder().key(MACHINE_TAG).value(machine.as_str()).build();
        let tag = tag.map_err(|error| HandOffError::Failed {
            operation: "put",
            machine: machine.clone(),
            source: error.into(),
        })?;
        let put = self
            .client
            .put_parameter()
            .name(self.name(machine))
            .value(value.expose())
            .r#type(kind)
            .set_key_id(key.map(str::to_owned))
            .tier(tier(bytes))
            // Tags are given only to a new parameter; without its tag the machine could not read it.
            .tags(tag)
            .overwrite(false);
        let Err(error) = put.clone().send().await else { return Ok(()) };
        let failure = AwsFailure::new("ssm", "PutParameter", &error);
        if failure.code != "ParameterAlreadyExists" {
            return Err(failed("put", machine, failure));
        }
        // What an earlier attempt has left. The control plane deletes it before it hands over again, so this is rare.
        self.expire(machine).await?;
        put.send()
            .await
            .map(|_| ())
            .map_err(|error| failed("put", machine, AwsFailure::new("ssm", "PutParameter", &error)))
    }

    async fn pending(&self, machine: &MachineId) -> Result<bool, HandOffError> {
        let answer = self
            .client
            .get_parameters()
            .names(self.name(machine))
            .send()
            .await
            .map_err(|error| failed("look", machine, AwsFailure::new("ssm", "GetParameters", &error)))?;
        Ok(!answer.parameters.unwrap_or_default().is_empty())
    }

    async fn waiting(&self) -> Result<Vec<(MachineId, Timestamp)>, HandOffError> {
        let listed = all_pages(self.client.get_parameters_by_path().path(&self.path)).await;
        let mut waiting = Vec::new();
        for parameter in listed.map_err(|source| HandOffError::NotListed { source: source.into() })? {
            let machine = parameter.name.as_deref().and_then(|name| name.rsplit('/').next()).map(MachineId::parse);
            if let (Some(Ok(machine)), Some(at)) = (machine, parameter.last_modified_date) {
                waiting.push((machine, Timestamp::from_millis(at.to_millis().unwrap_or_default())));
            }
        }
        Ok(waiting)
    }

    async fn expire(&self, machine: &MachineId) -> Result<(), HandOffError> {
        let answer = self.client.delete_parameter().name(self.name(machine)).send().await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) => {
                let failure = AwsFailure::new("ssm", "DeleteParameter", &error);
                if failure.kind() == AwsFailureKind::NotFound {
                    Ok(())
                } else {
                    Err(failed("expire", machine, failure))
                }
            }
        }
    }
}

/// All pages of a list, ten parameters in each, within [`LIST_TIMEOUT`].
async fn all_pages(call: GetParametersByPathFluentBuilder) -> Result<Vec<Parameter>, AwsFailure> {
    const OPERATION: &str = "GetParametersByPath";
    let mut pages = call.into_paginator().send();
    let all = async {
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| AwsFailure::new("ssm", OPERATION, &error))?;
            found.extend(page.parameters.unwrap_or_default());
        }
        Ok(found)
    };
    let slow = |_| Err(AwsFailure::too_slow("ssm", OPERATION, LIST_TIMEOUT));
    tokio::time::timeout(LIST_TIMEOUT, all).await.unwrap_or_else(slow)
}

/// Settings and secrets under a path.
#[derive(Clone)]
pub struct Parameters {
    client: Client,
}

impl Parameters {
    /// A reader.
    #[must_use]
    pub fn new(session: &Session) -> Self {
        Self { client: Client::new(session.config()) }
    }

    /// All parameters below a path, by the rest of their names, decrypted.
    ///
    /// # Errors
    /// When Parameter Store refuses.
    pub async fn below(&self, path: &str) -> Result<BTreeMap<String, Secret>, AwsFailure> {
        let path = path.trim_end_matches('/');
        let call = self.client.get_parameters_by_path().path(path).recursive(true).with_decryption(true);
        let mut found = BTreeMap::new();
        for parameter in all_pages(call).await? {
            if let (Some(name), Some(value)) = (parameter.name, parameter.value) {
                let rest = name.strip_prefix(path).unwrap_or(&name).trim_start_matches('/').to_owned();
                found.insert(rest, Secret::new(value));
            }
        }
        Ok(found)
    }

    /// Stores a secret as a SecureString under a name that is not taken, by AWS's key for Parameter Store.
    ///
    /// # Errors
    /// When it is longer than a parameter holds, the name is taken, or Parameter Store refuses.
    pub async fn put_secret(&self, name: &str, value: &Secret) -> Result<(), AwsFailure> {
        // One that is too long is refused by Parameter Store itself.
        let put = self.client.put_parameter().name(name).value(value.expose()).r#type(ParameterType::SecureString);
        let put = put.tier(tier(value.expose().len())).overwrite(false);
        put.send().await.map(|_| ()).map_err(|error| AwsFailure::new("ssm", "PutParameter", &error))
    }

    /// These parameters, decrypted, each under the name or ARN by which it was asked for; the ones that are not there are left out. At most
    /// 10. Another account's is there under its full ARN only, and Parameter Store answers it with its bare name.
    ///
    /// # Errors
    /// When Parameter Store refuses.
    pub async fn named(&self, names: &[String]) -> Result<BTreeMap<String, Secret>, AwsFailure> {
        let answer = self
            .client
            .get_parameters()
            .set_names(Some(names.to_vec()))
            .with_decryption(true)
            .send()
            .await
            .map_err(|error| AwsFailure::new("ssm", "GetParameters", &error))?;
        let found = answer.parameters.unwrap_or_default().into_iter();
        Ok(found.filter_map(|one| Some((asked_as(names, one.arn, one.name)?, Secret::new(one.value?)))).collect())
    }
}

/// What a parameter was asked for by. Its ARN first: another account's may have the name of one of ours.
fn asked_as(names: &[String], arn: Option<String>, name: Option<String>) -> Option<String> {
    arn.filter(|arn| names.contains(arn)).or(name)
}
