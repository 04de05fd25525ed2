//! Records beside the state: changes that are over do not pile up, and what a newer program wrote is refused.

use std::sync::Arc;

use runnersmith_issueops::change::{Change, ChangeKind, State};
use runnersmith_issueops_engine::{ChangeStore, Record, open_key};
use runnersmith_ports::{Expect, MemoryRecordStore, RecordStore, chain};
use serde_json::Value;

/// Opens the change of an environment and archives it as cancelled. Pull requests have the number after their issue.
async fn over(store: &ChangeStore, environment: &str, issue: u64) {
    ended(store, environment, issue, State::Cancelled).await;
}

async fn ended(store: &ChangeStore, environment: &str, issue: u64, state: State) {
    let key = open_key(environment);
    let mut change = Change::new(ChangeKind::Set, environment, issue, "ann", issue + 1, "runnersmith/branch");
    change.state = state;
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

/// What is there is compared with what the last change that was applied rendered; who asks and gives up must not make it unknown.
#[tokio::test]
async fn the_newest_change_that_was_applied_is_kept_whatever_was_given_up_since() {
    let records = Arc::new(MemoryRecordStore::new());
    let store = ChangeStore::new(records.clone());
    for issue in [10, 20] {
        ended(&store, "team", issue, State::Done).await;
    }
    for n in 0..60 {
        over(&store, "team", 60 + 2 * n).await;
    }
    let last = store.last_done("team").await.unwrap().expect("what was applied last is known");
    assert_eq!(last.change.issue, 20);
    assert!(store.pull(21).await.unwrap().is_some(), "and what leads to it");
    let history = records.list("changes/team/history/").await.unwrap();
    assert_eq!(history.len(), 51, "the newest fifty and that one: {history:?}");
}

#[tokio::test]
async fn each_record_says_its_form_and_what_a_newer_program_wrote_is_refused() {
    let records = Arc::new(MemoryRecordStore::new());
    let store = ChangeStore::new(records.clone());
    store.update_issue(7, |note| note.again = true).await.unwrap();
    over(&store, "team", 8).await;
    for (key, version) in [("issues/7.json", 2), ("pulls/9.json", 1)] {
        let bytes = records.get(key).await.unwrap().unwrap().bytes;
        let mut record: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(record["record_version"], version, "{key}");
        record["record_version"] = (version + 1).into();
        records.put(key, record.to_string().as_bytes(), &Expect::Any).await.unwrap();
    }
    let refused = store.issue(7).await.unwrap_err();
    assert!(chain(&refused).contains("newer version"), "{}", chain(&refused));
    assert!(store.update_issue(7, |note| note.again = false).await.is_err(), "nor is it written over");
    assert!(store.pull(9).await.is_err());
}
