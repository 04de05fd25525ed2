//! Records that an earlier version has left beside the state are read, opened and carried on.

use std::collections::BTreeMap;
use std::mem::discriminant;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runnersmith_issueops::change::{Change, ChangeKind, ChangeStep, Holder, Left, State};
use runnersmith_issueops_engine::{ChangeStore, Record, Seal, open_key};
use runnersmith_ports::{Expect, MemoryRecordStore, RecordStore};
use runnersmith_types::ChangeTrigger;
use runnersmith_types::{Secret, Timestamp};
use runnersmith_webhook::change_trigger;
use serde_json::{Value, json};

/// Text that storing could lose.
const TEXT: &str = "a \"quoted\"\nline, \u{202e}é😀\u{0}\\";

fn lines(name: &str) -> Vec<Value> {
    let path = format!("{}/../testing/fixtures/e2c886d/changes/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The record store as the earlier version has left it.
async fn left() -> (Arc<MemoryRecordStore>, ChangeStore) {
    let record_store = Arc::new(MemoryRecordStore::new());
    for line in lines("shelf.jsonl") {
        let bytes = match line["text"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => STANDARD.decode(line["base64"].as_str().unwrap()).unwrap(),
        };
        record_store.put(line["key"].as_str().unwrap(), &bytes, &Expect::Absent).await.unwrap();
    }
    (record_store.clone(), ChangeStore::new(record_store))
}

/// The record of one line.
async fn read(line: &Value) -> Record {
    let record_store = Arc::new(MemoryRecordStore::new());
    record_store.put(&open_key("x"), line.to_string().as_bytes(), &Expect::Absent).await.unwrap();
    ChangeStore::new(record_store).record(&open_key("x")).await.unwrap().unwrap().0
}

async fn opened(store: &ChangeStore, environment: &str) -> Record {
    store.record(&open_key(environment)).await.unwrap().unwrap().0
}

#[tokio::test]
async fn a_record_in_every_state_is_read_as_it_was_stored() {
    let mut words = Vec::new();
    for line in lines("records.jsonl") {
        let record = read(&line).await;
        let change = &record.change;
        words.push(change.state.word());
        if change.environment == "team" {
            assert_eq!(
                (change.kind, change.issue, change.author.login.as_str(), change.pull),
                (ChangeKind::Set, 5, "ann", 6)
            );
            continue;
        }
        assert_eq!(
            (change.kind, change.issue, change.author.login.as_str(), change.pull),
            (ChangeKind::Delete, u64::MAX, TEXT, 6)
        );
        assert!(change.is_half_done && change.is_hand_edited && change.committers.contains(&TEXT.into()));
        assert!(change.was_handled(u64::MAX) && change.was_handled(7) && !change.was_handled(8));
        if let Some(plan) = change.state.plan() {
            assert_eq!((plan.parts.head.as_str(), plan.parts.state_serial), (TEXT, u64::MAX));
            assert!(plan.loses_state && plan.is_hand_edited && plan.parts.continuations.len() == 2);
        }
    }
    let wanted = "requested, edited by hand, planning, planned, expired, approved, draining, draining, applying, applied, \
                  applied, not merged, done, interrupted, cancelled, failed, failed, failed, requested";
    assert_eq!(words.join(", "), wanted);
}

#[tokio::test]
async fn what_a_state_holds_is_read_as_it_was_stored() {
    let mut states = Vec::new();
    for line in lines("records.jsonl") {
        states.push(read(&line).await.change.state);
    }
    let State::Checking(_, approval) = &states[5] else { panic!("{:?}", states[5]) };
    assert_eq!((approval.by.login.as_str(), approval.comment), (TEXT, u64::MAX));
    assert!(approval.kills_jobs && approval.has_drained);
    let State::Draining { left, is_overdue, until, .. } = &states[7] else { panic!("{:?}", states[7]) };
    let counts = Left { jobs: 1, machines: 2, registrations: 3, hand_offs: 4, log_groups: u32::MAX };
    assert_eq!((*left, *is_overdue, *until), (Some(counts), true, Timestamp::from_secs(1_000_000)));
    assert_eq!(states[9], State::Applied { head: TEXT.into() });
    assert_eq!(states[10], State::NotMerged { head: TEXT.into(), why: TEXT.into() });
    assert_eq!(states[12], State::Interrupted { run: TEXT.into() });
    let State::Failed(failure) = &states[15] else { panic!("{:?}", states[15]) };
    assert_eq!((failure.resource.as_deref(), failure.message.as_str()), (Some(TEXT), TEXT));
}

#[tokio::test]
async fn every_step_that_waits_is_read_as_it_was_stored() {
    let line = &lines("records.jsonl")[0];
    let record = read(line).await;
    assert_eq!((record.outbox.len(), record.next_todo), (63, 64));
    let kinds: std::collections::HashSet<_> = record.outbox.iter().map(|todo| discriminant(&todo.step)).collect();
    // A step that did nothing, `void_others`, is read as `drop_plan`, which is there too.
    assert_eq!(kinds.len(), 16, "each kind of step");
    let replies = record.outbox.iter().filter_map(|todo| match &todo.step {
        ChangeStep::Say(reply) => Some(discriminant(reply.as_ref())),
        _ => None,
    });
    assert_eq!(replies.collect::<std::collections::HashSet<_>>().len(), 14, "each kind of answer");
    let [first, second, third, ..] = record.outbox.as_slice() else { panic!("{:?}", record.outbox) };
    assert_eq!((&first.step, first.by.as_deref()), (&ChangeStep::ShowState, Some("run-1")));
    assert_eq!(first.left_by, Some(("tester@here".into(), Timestamp::from_secs(1_800_000_000))));
    assert_eq!(second.taken, Some(("tester@there".into(), Timestamp::from_secs(1_800_000_001))));
    assert_eq!((third.tries, &third.step), (4, &ChangeStep::Plan { without_terraform_lock: false }));
    let files = BTreeMap::from([("a.tf".to_owned(), Some("e69de29b".to_owned())), ("b.tf".to_owned(), None)]);
    assert_eq!((record.files, record.head.as_str(), record.base_commit.as_str()), (Some(files), "aaaa", "bbbb"));
    assert_eq!((record.labels.len(), record.own_commits.len(), record.continuations.len()), (2, 1, 1));
    assert_eq!((record.state_comment.unwrap().id, record.is_announced), (12, true));
    assert_eq!(record.outputs["webhook_endpoint"], json!("https://a.example/webhook"));
    assert_eq!(record.comments_read, Some(Timestamp::from_secs(1_800_000_002)));
    assert_eq!(record.plan_key.as_deref(), Some("changes/linux_large/0123456789ab-1.plan"));
    assert_eq!(record.applied_head.as_deref(), Some("aaaa"));
}

#[tokio::test]
async fn a_record_is_written_so_that_nothing_that_was_stored_is_lost() {
    for line in lines("records.jsonl") {
        let new = serde_json::to_value(read(&line).await).unwrap();
        // What an earlier version stored and nothing means any more is read as what comes to the same.
        let line =
            line.to_string().replace("\"void_others\"", "\"drop_plan\"").replace("\"other_applied\"", "\"pushed\"");
        let line: Value = serde_json::from_str(&line).unwrap();
        for (field, value) in line.as_object().unwrap() {
            assert_eq!(new.get(field), Some(value), "{field}");
        }
    }
}

#[tokio::test]
async fn the_change_store_of_an_earlier_version_is_open_at_the_same_place() {
    let (_records, store) = left().await;
    let open: Vec<String> =
        store.open().await.unwrap().into_iter().map(|(_, record)| record.change.environment).collect();
    assert_eq!(open, ["busy", "going", "team"]);
    let busy = opened(&store, "busy").await;
    assert!(matches!(&busy.change.state, State::Applying { run, .. } if run == "run-19"), "{:?}", busy.change.state);
    assert!(matches!(busy.outbox[0].step, ChangeStep::Apply { .. }));
    let going = opened(&store, "going").await;
    assert!(matches!(&going.change.state, State::Draining { left: Some(left), .. } if left.jobs == 1));
    assert_eq!(going.outputs["webhook_endpoint"], json!("https://going.example/webhook"));
    let lock = store.lock("busy").await.unwrap().unwrap();
    assert_eq!((lock.host.as_str(), lock.lock.id.as_str()), ("tester@here", "720e8e4ff004ef4e"));
    assert!(matches!(&lock.lock.holder, Holder::Run { run, pull: 12 } if run == "run-19"));
    assert_eq!(lock.applies.unwrap().run, "run-19", "an apply is not at its end");
    let by_hand = store.lock("team").await.unwrap().unwrap().lock;
    assert_eq!((by_hand.holder, by_hand.reason.as_str()), (Holder::Person("wanda".into()), "moving the VPC"));
    assert_eq!((store.lock("old").await.unwrap(), store.drift("old").await.unwrap()), (None, Some(3)));
    assert!(store.issue(4).await.unwrap().invalid.is_some_and(|posted| posted.id == 1020));
    assert_eq!(store.issue(5).await.unwrap().environment.as_deref(), Some("team"));
    let looked_at = store.issue(99).await.unwrap();
    assert_eq!((looked_at.busy.as_deref(), looked_at.waits()), (Some("run-9"), true));
    assert!(looked_at.named_editors.contains(&"wanda".into()));
    let pull = store.pull(2).await.unwrap().unwrap();
    assert_eq!((pull.environment.as_str(), pull.history.as_deref()), ("old", Some("changes/old/history/1-2.json")));
    let over = store.record("changes/old/history/1-2.json").await.unwrap().unwrap().0;
    assert_eq!((over.change.state, over.applied_head.unwrap().len()), (State::Done, 40));
}

#[tokio::test]
async fn the_change_store_of_an_earlier_version_is_written_on() {
    let (_records, store) = left().await;
    assert!(store.record(&open_key("old")).await.unwrap().is_none(), "it is in the history");
    let next = Record::new(Change::new(ChangeKind::Set, "old", 20, "ann", 21, "runnersmith/old-20"));
    assert!(store.begin(&open_key("old"), &next).await.unwrap(), "the next change takes its place");
    assert!(!store.begin(&open_key("team"), &next).await.unwrap(), "one is open");
    let key = open_key("team");
    store
        .update(&key, |record| {
            record.is_announced = true;
            record.change.state = State::Cancelled;
            Some(())
        })
        .await
        .unwrap()
        .unwrap();
    let over = opened(&store, "team").await;
    assert!(over.is_finished());
    store.archive(&key, &over).await.unwrap();
    assert!(store.record(&key).await.unwrap().is_none());
    let released = store.release_lock("team", |note| note.lock.id == "b9f388165bb3a39e").await.unwrap();
    assert!(released.is_some() && store.lock("team").await.unwrap().is_none());
}

#[tokio::test]
async fn a_plan_that_an_earlier_version_has_sealed_is_opened_and_its_digest_is_the_same() {
    let (record_store, store) = left().await;
    let seal = Seal::new(&Secret::new("k".repeat(44))).unwrap();
    for (environment, maximum) in [("team", 3), ("busy", 4)] {
        let record = opened(&store, environment).await;
        let plan = record.change.state.plan().unwrap();
        let key = record.plan_key.unwrap();
        // The key has the digest in it, as it was when the plan was made.
        let digest = key.split('/').next_back().and_then(|name| name.split('-').next()).unwrap();
        assert_eq!(plan.parts.digest().short(), digest, "what was shown to people can be approved");
        let sealed = record_store.get(&key).await.unwrap().unwrap().bytes;
        let bundle: Value = serde_json::from_slice(&seal.open(&key, &sealed).unwrap()).unwrap();
        let file = STANDARD.decode(bundle["file"].as_str().unwrap()).unwrap();
        let file: Value = serde_json::from_slice(&file).unwrap();
        assert_eq!(file["environment"], environment);
        assert!(file["values"].as_str().unwrap().contains(&format!("\"runners_maximum_count\": {maximum}")));
    }
    let busy = opened(&store, "busy").await;
    let State::Applying { plan, approval, .. } = busy.change.state else { panic!("{:?}", busy.change.state) };
    assert_eq!(approval.digest, plan.parts.digest(), "what was approved is what is applied");
}

#[tokio::test]
async fn branches_of_an_earlier_version_are_still_known_as_our_own() {
    let (_records, store) = left().await;
    for (_, record) in store.open().await.unwrap() {
        let name = record.change.branch;
        assert!(name.ends_with(&format!("{}-{}", record.change.environment, record.change.issue)));
        let payload = json!({ "repository": { "full_name": "acme/control" }, "sender": { "login": "ann", "type": "User" },
            "ref": format!("refs/heads/{name}") });
        let signal = change_trigger("push", payload.to_string().as_bytes(), "acme/control");
        assert_eq!(signal, Ok(ChangeTrigger::Branch { name }));
    }
}
