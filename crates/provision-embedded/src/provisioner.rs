//! The provisioner: plans are made from the values file, and applied by writing the record and making it live.

use std::collections::BTreeMap;

use async_trait::async_trait;
use ring::rand::{SecureRandom as _, SystemRandom};
use runnersmith_issueops::render::VALUES_FILE;
use runnersmith_issueops::summary::Summary;
use runnersmith_issueops_engine::{
    Applied, LeftBy, MadePlan, PlanOptions, Progress, ProvisionError, Provisioner, StateBackend, StateId, Workspace,
};
use runnersmith_ports::chain;
use runnersmith_ports::{Expect, Version};
use runnersmith_types::ScaleSetName;
use serde_json::json;

use crate::plan::{Effect, Plan, address, nothing};
use crate::record::{self, Record};
use crate::wanted::Wanted;
use crate::{Embedded, RecordError, VERSION};

/// It said no.
fn failed(environment: &str, message: impl Into<String>) -> ProvisionError {
    ProvisionError::Failed { resource: Some(address(environment)), message: message.into() }
}

fn unable(error: &RecordError) -> ProvisionError {
    ProvisionError::Unable(chain(error))
}

/// The state that a record stands for.
fn state_of(record: Option<&Record>) -> StateId {
    record.map_or_else(StateId::default, |record| StateId { lineage: record.lineage.clone(), serial: record.serial })
}

fn lineage() -> Result<String, ProvisionError> {
    let mut bytes = [0_u8; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| ProvisionError::Unable("the system gives no random numbers".to_owned()))?;
    Ok(hex::encode(bytes))
}

impl Embedded {
    async fn record(&self, environment: &str) -> Result<Option<(Record, Version)>, ProvisionError> {
        let found = record::read(self.record_store.as_ref(), &record::key(environment)).await;
        let found = found.map_err(|error| unable(&error))?;
        match &found {
            Some((record, _)) if record.environment != environment => {
                let there = &record.environment;
                Err(failed(environment, format!("there is an environment {there:?}, which differs in case alone")))
            }
            _ => Ok(found),
        }
    }

    /// The environment's name as a set's, which must not be one of the configuration's.
    fn name(&self, environment: &str) -> Result<ScaleSetName, ProvisionError> {
        let name = ScaleSetName::parse(environment).map_err(|error| failed(environment, error.to_string()))?;
        if self.is_fixed(&name) {
            return Err(failed(environment, format!("{name} is a scale set of this server's configuration")));
        }
        Ok(name)
    }

    async fn carry_out(&self, plan: Plan) -> Result<Applied, ProvisionError> {
        let environment = plan.environment.as_str();
        let name = self.name(environment)?;
        let _turn = self.turn.lock().await;
        let found = self.record(environment).await?;
        let state = state_of(found.as_ref().map(|(record, _)| record));
        let is_as_planned = found.as_ref().and_then(|(record, _)| record.set.as_ref()) == plan.before.as_ref();
        if (state.lineage.as_str(), state.serial) != (plan.lineage.as_str(), plan.serial) || !is_as_planned {
            return Err(ProvisionError::Stale);
        }
        let (mut record, expect) = match found {
            Some((record, version)) => (record, Expect::Version(version)),
            None => (Record::new(environment, lineage()?), Expect::Absent),
        };
        if plan.effect() != Effect::Nothing {
            record.serial += 1;
            // What is made again is in service, whatever became of the one before.
            record.draining &= record.set.is_some();
            record.set = plan.after.clone();
            record.write(self.record_store.as_ref(), &expect).await.map_err(|error| {
                match record::is_conflict(&error) {
                    true => ProvisionError::Stale,
                    false => unable(&error),
                }
            })?;
            if record.set.is_none() {
                // Written first, so that of two who destroy or change it only one succeeds.
                let deleted = self.record_store.delete(&record::key(environment)).await;
                deleted.map_err(|error| failed(environment, chain(&error)))?;
            }
        }
        // Also when nothing changes: what is live is what the record says.
        self.show(&name, record.set.is_some().then_some(&record));
        Ok(Applied { outputs: outputs(plan.after.as_ref()), log: String::new() })
    }
}

fn outputs(set: Option<&Wanted>) -> BTreeMap<String, serde_json::Value> {
    let Some(set) = set else { return BTreeMap::new() };
    let labels: Vec<&str> = set.labels.iter().map(String::as_str).collect();
    BTreeMap::from([("labels".to_owned(), json!(labels)), ("scale_set".to_owned(), json!(set.environment))])
}

#[async_trait]
impl Provisioner for Embedded {
    async fn version(&self) -> Result<String, ProvisionError> {
        Ok(VERSION.to_owned())
    }

    async fn plan(
        &self,
        workspace: &Workspace,
        options: PlanOptions,
        progress: &dyn Progress,
    ) -> Result<MadePlan, ProvisionError> {
        let environment = workspace.environment();
        self.name(environment)?;
        let found = self.record(environment).await?.map(|(record, _)| record);
        let after = match options.destroy {
            true => None,
            false => {
                let missing = || failed(environment, format!("there is no {}/{VALUES_FILE}", workspace.folder()));
                let values = workspace.file(VALUES_FILE).ok_or_else(missing)?;
                Some(Wanted::of_values(values, environment).map_err(|why| failed(environment, why))?)
            }
        };
        let state = state_of(found.as_ref());
        let plan = Plan::new(environment, &state, found.and_then(|record| record.set), after);
        let said = |why| failed(environment, why);
        let text = plan.text().map_err(said)?;
        text.lines().last().into_iter().for_each(|line| progress.line(line));
        let file = serde_json::to_vec(&plan).map_err(|error| failed(environment, error.to_string()))?;
        Ok(MadePlan { file, summary: plan.summary().map_err(said)?, text, lock_file: None, state })
    }

    async fn state(&self, backend: &StateBackend) -> Result<StateId, ProvisionError> {
        Ok(state_of(self.record(backend.environment()).await?.as_ref().map(|(record, _)| record)))
    }

    async fn apply(
        &self,
        workspace: &Workspace,
        plan_file: &[u8],
        progress: &dyn Progress,
    ) -> Result<Applied, ProvisionError> {
        let environment = workspace.environment();
        let plan = Plan::read(plan_file).map_err(|why| failed(environment, why))?;
        if plan.environment != environment {
            return Err(failed(environment, format!("the plan is for the environment {:?}", plan.environment)));
        }
        let address = address(environment);
        let (begins, done) = match plan.effect() {
            Effect::Create => {
                (format!("{address}: Creating..."), "Apply complete! Resources: 1 added, 0 changed, 0 destroyed.")
            }
            Effect::Update => {
                (format!("{address}: Modifying..."), "Apply complete! Resources: 0 added, 1 changed, 0 destroyed.")
            }
            Effect::Delete => {
                (format!("{address}: Destroying..."), "Apply complete! Resources: 0 added, 0 changed, 1 destroyed.")
            }
            Effect::Nothing => {
                (format!("{address}: nothing changes"), "Apply complete! Resources: 0 added, 0 changed, 0 destroyed.")
            }
        };
        progress.line(&begins);
        // A task of its own: the caller may go away, and the record and what is live must not part.
        let embedded = self.clone();
        let applied = tokio::spawn(async move { embedded.carry_out(plan).await }).await;
        let applied = applied.unwrap_or_else(|error| Err(failed(environment, error.to_string())))?;
        progress.line(done);
        Ok(Applied { log: format!("{begins}\n{done}\n"), ..applied })
    }

    async fn drift(&self, workspace: &Workspace) -> Result<Summary, ProvisionError> {
        let environment = workspace.environment();
        let name = self.name(environment)?;
        let mut found = nothing();
        // One that is on its way out is not live, as it should be.
        if let Some((record, _)) = self.record(environment).await?
            && let Some(set) = record.set.filter(|_| !record.draining)
        {
            let recorded = set.scale_set().map_err(|why| failed(environment, why))?;
            if self.world.set(&name) != Some(recorded) {
                found.drifted.push(address(environment));
            }
        }
        Ok(found)
    }

    async fn release_left_lock(&self, _: &StateBackend, _: &LeftBy) -> Result<Option<String>, ProvisionError> {
        // The state has no lock: each write names the record that it has read.
        Ok(None)
    }
}
