//! The scale sets of now: they may come and go while everything runs.
//!
//! It is a type of its own because one rule must hold for all who read them: **anyone who decides something takes the whole
//! list once** and decides from that. A list is replaced, never changed in place, so a reader never sees half of a change.

use std::sync::Arc;

use runnersmith_types::{ScaleSet, ScaleSetName};
use tokio::sync::watch;

/// The scale sets of now. Clones are the same sets.
#[derive(Clone, Debug)]
pub struct Sets(Arc<watch::Sender<Arc<Vec<ScaleSet>>>>);

impl Sets {
    /// These sets, until they are replaced.
    #[must_use]
    pub fn new(sets: Vec<ScaleSet>) -> Self {
        Self(Arc::new(watch::channel(Arc::new(sets)).0))
    }

    /// The sets of this moment. What is loaded stays as it is.
    #[must_use]
    pub fn load(&self) -> Arc<Vec<ScaleSet>> {
        self.0.borrow().clone()
    }

    /// One set as it is at this moment.
    #[must_use]
    pub fn get(&self, name: &ScaleSetName) -> Option<ScaleSet> {
        self.0.borrow().iter().find(|set| &set.name == name).cloned()
    }

    /// Puts other sets in place of all. Subscribers are notified unless they are the same.
    pub fn replace(&self, sets: Vec<ScaleSet>) {
        self.update(|old| *old = sets);
    }

    /// Changes the sets in one step: nobody sees anything between, and of two updates at once none is lost. Subscribers are
    /// notified if anything changed.
    pub fn update(&self, change: impl FnOnce(&mut Vec<ScaleSet>)) {
        self.0.send_if_modified(|sets| {
            let mut new = sets.as_ref().clone();
            change(&mut new);
            let changed = new != **sets;
            if changed {
                *sets = Arc::new(new);
            }
            changed
        });
    }

    /// Notified of each change; one that lags sees only the newest.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Vec<ScaleSet>>> {
        self.0.subscribe()
    }
}

impl From<Vec<ScaleSet>> for Sets {
    fn from(sets: Vec<ScaleSet>) -> Self {
        Self::new(sets)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn set(name: &str) -> ScaleSet {
        ScaleSet::new(ScaleSetName::parse(name).unwrap(), BTreeSet::new())
    }

    #[test]
    fn what_was_loaded_stays_as_it_was() {
        let sets = Sets::new(vec![set("a")]);
        let before = sets.load();
        sets.clone().replace(vec![set("b")]);
        assert_eq!(*before, [set("a")]);
        assert_eq!(*sets.load(), [set("b")]);
        assert_eq!(sets.get(&set("a").name), None);
        assert_eq!(sets.get(&set("b").name), Some(set("b")));
    }

    #[test]
    fn a_subscriber_is_notified_of_changes_only() {
        let sets = Sets::new(vec![set("a")]);
        let mut notified = sets.subscribe();
        sets.replace(vec![set("a")]);
        assert!(!notified.has_changed().unwrap(), "the same sets are no change");
        sets.update(|sets| sets.push(set("b")));
        assert!(notified.has_changed().unwrap());
        assert_eq!(notified.borrow_and_update().len(), 2);
    }

    #[test]
    fn of_two_sets_that_are_swapped_nobody_sees_both_or_none() {
        let sets = Sets::new(vec![set("a")]);
        let seen = sets.clone();
        let swapping = std::thread::spawn(move || {
            for n in 0..2_000 {
                sets.update(|sets| *sets = vec![set(if n % 2 == 0 { "b" } else { "a" })]);
            }
        });
        while !swapping.is_finished() {
            let now = seen.load();
            assert_eq!(now.len(), 1, "{now:?}");
        }
        swapping.join().unwrap();
    }
}
