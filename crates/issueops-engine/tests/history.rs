//! Changes that are over do not pile up beside the state.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::sync::Arc;

use runnersmith_issueops::change::{Change, ChangeKind, State};
use runnersmith_issueops_engine::{ChangeStore, Record, open_key};
use runnersmith_ports::{MemoryRecordStore, RecordStore};

/// Opens the change of an environment and archives it as cancelled. Pull requests have the number after their issue.
async fn over(store: &ChangeStore, environment: &str, issue: u64) {
    let key = open_key(environment);
    let mut change = Change::new(ChangeKind::Set, environment, issue, "ann", issue + 1, "runnersmith/branch");
    change.state = State::Cancelled;
    let record = Record::new(change);
    assert!(store.begin(&key, &record).await.unwrap());
    store.archive(&key, &record).await.unwrap();
}

#[tokio::test]
async fn an_environment_keeps_its_newest_fifty_changes_and_what_leads_to_them() {
    let records = Arc::new(MemoryRecordStore::new());
    let store = ChangeStore::new(records.clone());
    over(&store, "other", 1).await;
    // Past 99, where the order of numbers is not that of their texts.
    for n in 0..60 {
        over(&store, "team", 60 + 2 * n).await;
    }
    let history = records.list("changes/team/history/").await.unwrap();
    assert_eq!(history.len(), 50);
    for n in 0..60 {
        let (issue, pull) = (60 + 2 * n, 61 + 2 * n);
        let is_kept = n >= 10;
        assert_eq!(history.contains(&format!("changes/team/history/{issue}-{pull}.json")), is_kept, "{pull}");
        assert_eq!(store.pull(pull).await.unwrap().is_some(), is_kept, "{pull}");
    }
    assert_eq!(records.list("changes/other/history/").await.unwrap().len(), 1, "another environment's are its own");
    assert!(store.record(&open_key("team")).await.unwrap().is_none(), "the place of the next change is free");
    let next = Record::new(Change::new(ChangeKind::Set, "team", 500, "ann", 501, "runnersmith/branch"));
    assert!(store.begin(&open_key("team"), &next).await.unwrap());
}
