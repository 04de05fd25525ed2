//! What the last pass over each scale set saw and decided, for people: the levels of all sets, shared.
//!
//! It is apart from the ledger because it is not a record: it is lost at a restart and made again by the next pass,
//! and nothing is ever decided from it.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use runnersmith_plan::fault::carried_on;
use runnersmith_types::{JobId, ScaleSetName, WaitingOn};
use tokio::sync::watch;

pub use runnersmith_plan::level::SetLevel;

/// The levels of all sets, shared between the loops that write them and the pages that show them.
#[derive(Debug)]
pub struct Levels {
    levels: RwLock<BTreeMap<ScaleSetName, SetLevel>>,
    version: watch::Sender<u64>,
}

impl Default for Levels {
    fn default() -> Self {
        Self { levels: RwLock::default(), version: watch::channel(0).0 }
    }
}

impl Levels {
    /// Replaces the level of the policy's set and notifies the subscribers. Faults that go on keep their beginning; new ones are
    /// logged.
    pub fn put(&self, mut level: SetLevel) {
        let name = level.policy.name.clone();
        let mut levels = self.levels.write().unwrap_or_else(PoisonError::into_inner);
        let before = levels.get(&name).map(|level| level.faults.as_slice()).unwrap_or_default();
        for fault in level.faults.iter().filter(|fault| !before.iter().any(|old| old.is_same(fault))) {
            tracing::warn!(set = %name, fault = fault.kind.word(), fix = fault.kind.fix(), "{fault}");
        }
        level.faults = carried_on(before, level.faults, level.asked_github, level.at);
        levels.insert(name, level);
        drop(levels);
        self.touch();
    }

    /// Forgets a set of which nothing is left.
    pub fn forget(&self, set: &ScaleSetName) {
        self.levels.write().unwrap_or_else(PoisonError::into_inner).remove(set);
        self.touch();
    }

    /// Notifies the subscribers that something they show has changed.
    pub fn touch(&self) {
        self.version.send_modify(|version| *version = version.wrapping_add(1));
    }

    /// All levels, by name.
    #[must_use]
    pub fn all(&self) -> BTreeMap<ScaleSetName, SetLevel> {
        self.levels.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The level of one set.
    #[must_use]
    pub fn get(&self, set: &ScaleSetName) -> Option<SetLevel> {
        self.levels.read().unwrap_or_else(PoisonError::into_inner).get(set).cloned()
    }

    /// What a job waits for, as the last pass over the set that wants it says.
    #[must_use]
    pub fn waiting_on(&self, job: JobId) -> Option<WaitingOn> {
        let levels = self.levels.read().unwrap_or_else(PoisonError::into_inner);
        levels.values().find_map(|level| level.plan.waiting_on(job)).cloned()
    }

    /// A counter that grows with each change; a receiver that lags sees only the newest.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_subscriber_learns_of_each_put() {
        let levels = Levels::default();
        let mut changes = levels.subscribe();
        assert!(!changes.has_changed().unwrap());
        levels.touch();
        changes.changed().await.unwrap();
        assert_eq!(*changes.borrow_and_update(), 1);
        assert!(levels.all().is_empty());
        assert_eq!(levels.get(&ScaleSetName::parse("small").unwrap()), None);
    }
}
