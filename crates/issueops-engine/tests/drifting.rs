//! What keeps a look for drift from saying something that is not so, and what does not stop it.

use std::sync::{Arc, Mutex};

use crate::support::World;
use async_trait::async_trait;
use runnersmith_issueops::change::State;
use runnersmith_issueops_engine::{Drift, Rights};
use runnersmith_ports::{Expect, MemoryRecordStore, RecordStore, RecordStoreError, StoredRecord, Version};
use runnersmith_types::ChangeTrigger;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// A record store that takes no record whose key ends so.
struct Refusing {
    inner: Arc<MemoryRecordStore>,
    end: &'static str,
}

#[async_trait]
impl RecordStore for Refusing {
    async fn get(&self, key: &str) -> Result<Option<StoredRecord>, RecordStoreError> {
        self.inner.get(key).await
    }
    async fn put(&self, key: &str, bytes: &[u8], expect: &Expect) -> Result<Version, RecordStoreError> {
        if key.ends_with(self.end) {
            return Err(RecordStoreError::Conflict { operation: "put", key: key.to_owned() });
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

/// Warnings of this thread, as text.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Visit for Warnings {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.lock().unwrap().push(format!("{field}: {value:?}"));
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN && metadata.target().starts_with("runnersmith_issueops_engine")
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// What is on the default branch is what it rendered, which the history does not have yet.
#[tokio::test]
async fn what_is_done_and_not_in_the_history_yet_is_not_compared_with_what_was_there_before() {
    let world = World::new().await;
    let (pull, line) = world.planned().await;
    world.comment(pull, "wanda", &line).await;
    let close_issue = "PATCH /repos/{owner}/{repo}/issues/{id}";
    world.github.set_faults(|faults| _ = faults.fail.insert(close_issue.into(), (403, 100)));
    let handled = world.applier.proceed().await.unwrap();
    assert_eq!(handled.failed.len(), 1, "{handled:?}");
    assert_eq!(world.record("team").await.change.state, State::Done);
    assert_eq!(world.planner.drift().await.unwrap(), [("team".to_owned(), Drift::Busy)]);
    world.github.set_faults(|faults| faults.fail.clear());
    world.planner.handle(&ChangeTrigger::Tick).await.unwrap();
    assert_eq!(world.planner.drift().await.unwrap(), [("team".to_owned(), Drift::None)]);
}

#[tokio::test]
async fn a_cursor_that_cannot_be_stored_is_a_warning_and_stops_no_look() {
    let world = World::new().await;
    for environment in ["alpha", "beta"] {
        world.made(environment).await;
    }
    let refusing = Arc::new(Refusing { inner: world.record_store.clone(), end: ".drift-cursor.json" });
    let planner = world.reconciler_on(refusing, Rights::Plan);
    let warnings = Warnings::default();
    let guard = tracing::subscriber::set_default(warnings.clone());
    let found = planner.drift().await.unwrap();
    drop(guard);
    assert_eq!(found, [("alpha".to_owned(), Drift::None), ("beta".to_owned(), Drift::None)]);
    let said = warnings.0.lock().unwrap().join("\n");
    assert_eq!(said.matches("how far drift was looked for cannot be stored").count(), 2, "one for each: {said}");
    assert!(said.contains("environment: alpha") && said.contains("environment: beta"), "{said}");
    assert_eq!(world.planner.change_store().drift_cursor().await.unwrap(), None);
}
