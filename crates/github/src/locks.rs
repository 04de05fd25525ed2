//! Locks by name. Work on one name is done once at a time, and work on another does not wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// As many locks as there are names in use; one that nobody holds or waits for is given up.
#[derive(Default)]
pub(crate) struct NamedLocks {
    held: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl NamedLocks {
    /// Waits until nobody else holds the lock of this name.
    pub async fn lock(&self, name: String) -> OwnedMutexGuard<()> {
        let lock = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            // Who holds a lock or waits for it has another reference.
            held.retain(|_, lock| Arc::strong_count(lock) > 1);
            held.entry(name).or_default().clone()
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn one_name_is_locked_once_and_another_does_not_wait_for_it() {
        let locks = NamedLocks::default();
        let first = locks.lock("acme".into()).await;
        let other = tokio::time::timeout(Duration::from_secs(10), locks.lock("globex".into())).await;
        assert!(other.is_ok(), "another name waited");
        let again = tokio::time::timeout(Duration::from_millis(20), locks.lock("acme".into())).await;
        assert!(again.is_err(), "one name was locked twice");
        drop(first);
        assert!(tokio::time::timeout(Duration::from_secs(10), locks.lock("acme".into())).await.is_ok());
    }

    #[tokio::test]
    async fn locks_that_nobody_holds_are_given_up() {
        let locks = NamedLocks::default();
        for n in 0..100 {
            drop(locks.lock(n.to_string()).await);
        }
        let kept = locks.lock("kept".into()).await;
        drop(locks.lock("other".into()).await);
        assert_eq!(locks.held.lock().unwrap().len(), 2);
        drop(kept);
    }
}
