//! Where runs are held, and killed: a run that dies in the middle of something is a run that is held there and ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use runnersmith_issueops_engine::Rights;
use runnersmith_ports::{Expect, MemoryRecordStore, RecordStore, RecordStoreError, StoredRecord, Version};
use runnersmith_types::ChangeTrigger;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::World;

/// A record store that holds the first put of a key with this end until it is asked to go on.
pub struct Gate {
    inner: Arc<MemoryRecordStore>,
    end: &'static str,
    /// Puts with this text are not held.
    passes: Option<String>,
    is_open: AtomicBool,
    pub reached: Notify,
    pub go_on: Notify,
}

impl Gate {
    pub fn new(inner: &Arc<MemoryRecordStore>, end: &'static str) -> Arc<Self> {
        Self::made(inner, end, None)
    }

    /// Holds the first put that has not this text in it.
    pub fn without(inner: &Arc<MemoryRecordStore>, end: &'static str, text: &str) -> Arc<Self> {
        Self::made(inner, end, Some(text.to_owned()))
    }

    fn made(inner: &Arc<MemoryRecordStore>, end: &'static str, passes: Option<String>) -> Arc<Self> {
        let (reached, go_on) = (Notify::new(), Notify::new());
        Arc::new(Self { inner: inner.clone(), end, passes, is_open: AtomicBool::new(false), reached, go_on })
    }
}

#[async_trait]
impl RecordStore for Gate {
    async fn get(&self, key: &str) -> Result<Option<StoredRecord>, RecordStoreError> {
        self.inner.get(key).await
    }
    async fn put(&self, key: &str, bytes: &[u8], expect: &Expect) -> Result<Version, RecordStoreError> {
        let passes = self.passes.as_ref().is_some_and(|text| String::from_utf8_lossy(bytes).contains(text));
        if key.ends_with(self.end) && !passes && !self.is_open.swap(true, Ordering::SeqCst) {
            self.reached.notify_one();
            self.go_on.notified().await;
        }
        self.inner.put(key, bytes, expect).await
    }
    async fn delete(&self, key: &str) -> Result<(), RecordStoreError> {
        self.inner.delete(key).await
    }
    async fn list(&self, prefix: &str) -> Result<Vec<String>, RecordStoreError> {
        self.inner.list(prefix).await
    }
}

impl World {
    /// A run with these rights does what a trigger says, and is killed where the gate holds it.
    pub async fn dies(&self, gate: &Arc<Gate>, rights: Rights, trigger: ChangeTrigger) {
        let reconciler = self.reconciler_on(gate.clone(), rights);
        let running = tokio::spawn(async move { reconciler.handle(&trigger).await });
        gate.reached.notified().await;
        killed(running).await;
    }

    /// A run that applies is killed in the midst of it.
    pub async fn dies_applying(&self) {
        let (_go_on, applying) = self.applying().await;
        killed(applying).await;
        *self.provisioner.hold.lock().unwrap() = None;
    }
}

/// Ends a run where it is.
pub async fn killed<T: std::fmt::Debug>(running: JoinHandle<T>) {
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
}
