//! Environments as scale sets of the running program: IssueOps without Terraform.
//!
//! It exists so that `demo` and `serve` can carry a request through to runners that take jobs, with nothing but this
//! program. Its state is one record on a record store for each environment; applying a plan writes the record and puts the scale
//! set among the live ones. It holds no way of its own to run or to end machines: what is live is looked after by the same
//! passes as every other set, and what is taken out drains by them.

mod fleet;
mod plan;
mod provisioner;
mod record;
mod wanted;

use std::collections::BTreeSet;
use std::sync::Arc;

use runnersmith_controllers::World;
use runnersmith_ports::{RecordStore, RecordStoreError};
use runnersmith_types::{ScaleSet, ScaleSetName};
use tokio::sync::Mutex;

pub use plan::VERSION;

use record::Record;

/// The environments of one running program. Clones are the same.
#[derive(Clone)]
pub struct Embedded {
    world: World,
    record_store: Arc<dyn RecordStore>,
    /// Sets of the configuration, in lower case: they are nobody's environment.
    fixed: Arc<BTreeSet<String>>,
    /// One at a time writes a record and makes it live, so that what is live is what the last record says.
    turn: Arc<Mutex<()>>,
}

/// Why records cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The record store failed.
    #[error("use the record of an environment")]
    RecordStore(#[from] RecordStoreError),
    /// It is not one of ours.
    #[error("read the record {key}")]
    Json {
        /// Which.
        key: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A newer program wrote it.
    #[error("the record {key} has format {found}, this program knows up to {known}")]
    Newer {
        /// Which.
        key: String,
        /// Found.
        found: u32,
        /// Known.
        known: u32,
    },
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("fixed", &self.fixed).finish_non_exhaustive()
    }
}

/// Whether environments were applied on this record store, also such that are on their way out.
///
/// # Errors
/// When the record store cannot be read.
pub async fn has_environments(record_store: &dyn RecordStore) -> Result<bool, RecordError> {
    Ok(!record_store.list(record::PREFIX).await?.is_empty())
}

/// Returns the scale sets of a program that has these sets in its configuration and these environments on its record store:
/// what it serves when it is started. Nothing is written.
///
/// # Errors
/// When the record store cannot be read.
pub async fn all_sets(configured: &[ScaleSet], record_store: &dyn RecordStore) -> Result<Vec<ScaleSet>, RecordError> {
    let fixed: BTreeSet<String> = configured.iter().map(|set| set.name.as_str().to_lowercase()).collect();
    let mut sets = configured.to_vec();
    for set in recorded_sets(record_store, |name| fixed.contains(&name.as_str().to_lowercase())).await? {
        put(&mut sets, set);
    }
    Ok(sets)
}

/// The sets of the environments that are recorded and do not drain. One that cannot be used is logged and left out, so that it
/// costs the others nothing.
async fn recorded_sets(
    record_store: &dyn RecordStore,
    is_fixed: impl Fn(&ScaleSetName) -> bool,
) -> Result<Vec<ScaleSet>, RecordError> {
    let mut sets = Vec::new();
    for key in record_store.list(record::PREFIX).await? {
        let record = match record::read(record_store, &key).await {
            Ok(Some((record, _))) => record,
            Ok(None) => continue,
            Err(RecordError::RecordStore(error)) => return Err(error.into()),
            Err(error) => {
                tracing::error!(error = %runnersmith_ports::chain(&error), "an environment is left out");
                continue;
            }
        };
        if record.draining {
            tracing::info!(environment = %record.environment, "the environment is on its way out");
            continue;
        }
        match record.set.as_ref().map(wanted::Wanted::scale_set) {
            Some(Ok(set)) if is_fixed(&set.name) => {
                tracing::error!(environment = %record.environment, "the configuration has a scale set of this name, which holds");
            }
            Some(Ok(set)) => sets.push(set),
            Some(Err(error)) => {
                tracing::error!(environment = %record.environment, error = %error, "an environment is left out");
            }
            None => {}
        }
    }
    Ok(sets)
}

impl Embedded {
    /// The environments that are recorded on this record store, for this world. The sets that it has now are the configuration's.
    #[must_use]
    pub fn new(world: World, record_store: Arc<dyn RecordStore>) -> Self {
        let fixed = world.sets.load().iter().map(|set| set.name.as_str().to_lowercase()).collect();
        Self { world, record_store, fixed: Arc::new(fixed), turn: Arc::default() }
    }

    /// The record store on which the records are.
    #[must_use]
    pub fn record_store(&self) -> Arc<dyn RecordStore> {
        self.record_store.clone()
    }

    /// Makes live what the records say: to be called once, before the loops begin. Environments that were draining go on
    /// draining. One that cannot be made live is logged and left out, so that it costs the others nothing.
    ///
    /// # Errors
    /// When the record store cannot be read.
    pub async fn restore(&self) -> Result<(), RecordError> {
        let _turn = self.turn.lock().await;
        let sets = recorded_sets(self.record_store.as_ref(), |set| self.is_fixed(set)).await?;
        self.world.sets.update(|live| {
            for set in sets {
                put(live, set);
            }
        });
        Ok(())
    }

    /// Environments that are live.
    #[must_use]
    pub fn live(&self) -> BTreeSet<ScaleSetName> {
        let sets = self.world.sets.load();
        sets.iter().map(|set| set.name.clone()).filter(|name| !self.is_fixed(name)).collect()
    }

    fn is_fixed(&self, name: &ScaleSetName) -> bool {
        self.fixed.contains(&name.as_str().to_lowercase())
    }

    /// Puts what the record says among the live sets, or takes it out.
    fn show(&self, name: &ScaleSetName, record: Option<&Record>) {
        let set = record.filter(|record| !record.draining).and_then(|record| record.set.as_ref());
        let set = set.and_then(|set| set.scale_set().ok());
        self.world.sets.update(|live| match set {
            Some(set) => put(live, set),
            None => live.retain(|set| set.name != *name),
        });
    }
}

/// In place of the set of this name, or after the others.
fn put(live: &mut Vec<ScaleSet>, set: ScaleSet) {
    match live.iter_mut().find(|old| old.name == set.name) {
        Some(old) => *old = set,
        None => live.push(set),
    }
}
