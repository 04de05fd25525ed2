//! Writes the records that this commit keeps beside the state, as test data for the programs that come later.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program that fails panics")]

mod issueops;
mod steps;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runnersmith_changes::{Book, Record, Rights, Signal};
use runnersmith_issueops::change::{Left, State};
use runnersmith_ports::{MemoryShelf, Shelf};
use runnersmith_types::Timestamp;
use serde_json::{Value, json};
use support::{DELETE, REPO, SET, World, block};

fn write_lines(out: &Path, name: &str, values: &[Value]) {
    let text: String = values.iter().map(|value| format!("{value}\n")).collect();
    std::fs::write(out.join(name), text).unwrap();
}

/// All records of a shelf.
async fn dump(shelf: &dyn Shelf) -> Vec<Value> {
    let mut lines = Vec::new();
    for key in shelf.list("").await.unwrap() {
        let found = shelf.get(&key).await.unwrap().unwrap();
        lines.push(match String::from_utf8(found.bytes.clone()) {
            Ok(text) => json!({ "key": key, "text": text }),
            Err(_) => json!({ "key": key, "base64": STANDARD.encode(found.bytes) }),
        });
    }
    lines
}

/// A record of a change in each state; the first one has every step in its outbox, and all that is optional.
async fn records(out: &Path) {
    let mut lines = Vec::new();
    for (n, change) in steps::changes().into_iter().enumerate() {
        let mut record = Record::new(change);
        if n == 0 {
            record.push(steps::steps(), "run-1", Rights::Plan);
            record.outbox[0].left_by = Some(("tester@here".into(), Timestamp::from_secs(1_800_000_000)));
            record.outbox[1].taken = Some(("tester@there".into(), Timestamp::from_secs(1_800_000_001)));
            record.outbox[2].tries = 4;
            record.files = Some([("a.tf".to_owned(), Some("e69de29b".to_owned())), ("b.tf".to_owned(), None)].into());
            record.labels = ["linux".to_owned(), "x64".to_owned()].into();
            (record.base_commit, record.head) = ("bbbb".into(), "aaaa".into());
            record.own_commits = vec!["aaaa".into()];
            record.plan_key = Some("changes/linux_large/0123456789ab-1.plan".into());
            record.is_announced = true;
            record.comments_read = Some(Timestamp::from_secs(1_800_000_002));
            record.outputs = [("webhook_endpoint".to_owned(), json!("https://a.example/webhook"))].into();
            record.applied_head = Some("aaaa".into());
            // The type has no public name.
            let posted = json!({ "id": 12, "text": "0".repeat(64) });
            record.state_comment = Some(serde_json::from_value(posted.clone()).unwrap());
            record.continuations = serde_json::from_value(json!([posted])).unwrap();
        }
        let shelf: Arc<dyn Shelf> = Arc::new(MemoryShelf::new());
        assert!(Book::new(shelf.clone()).begin("changes/x/change.json", &record).await.unwrap());
        let bytes = shelf.get("changes/x/change.json").await.unwrap().unwrap().bytes;
        lines.push(serde_json::from_slice(&bytes).unwrap());
    }
    write_lines(out, "records.jsonl", &lines);
}

/// What people are told on issues and pull requests; later programs find their own comments among these.
fn comments(world: &World) -> Vec<Value> {
    let mut lines = Vec::new();
    for number in 1..=12 {
        let Ok(issue) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.github.issue(REPO, number)))
        else {
            break;
        };
        for comment in issue.comments {
            lines.push(json!({ "number": number, "author": comment.author, "body": comment.body }));
        }
    }
    lines
}

/// A shelf as life leaves it: a change that is over, one that is planned, one that is being applied, one that drains, an issue
/// that is wrong, one that is being looked at, and drift.
async fn shelf(out: &Path) {
    let world = World::new().await;
    world.made("old").await;
    world.provisioner.cloud.lock().unwrap().drifted = vec!["module.runners.aws_sqs_queue.this".into()];
    world.planner.drift().await.unwrap();
    world.provisioner.cloud.lock().unwrap().drifted.clear();
    world.ask("ann", &block("my-env", 500), SET).await;
    world.ask("ann", &block("team", 3), SET).await;
    // A deletion that waits for a job.
    world.made("going").await;
    *world.fleet.left.lock().unwrap() = Left { jobs: 1, machines: 1, registrations: 1, ..Left::default() };
    world.ask("ann", "```json\n{\"environment\": \"going\"}\n```", DELETE).await;
    let pull = world.record("going").await.change.pull;
    let line = world.approve_line("going").await;
    world.order(pull, "wanda", &line).await;
    assert!(matches!(world.record("going").await.change.state, State::Draining { .. }));
    // An apply that is not at its end.
    world.ask("ann", &block("busy", 4), SET).await;
    let pull = world.record("busy").await.change.pull;
    let line = world.approve_line("busy").await;
    world.comment(pull, "walt", &line).await;
    // The applies before this one have left their word that they have begun.
    world.provisioner.begun.notified().await;
    let (go_on, applying) = world.applying().await;
    assert!(matches!(world.record("busy").await.change.state, State::Applying { .. }));
    // Somebody holds a lock by hand, and an issue is being looked at.
    let team = world.record("team").await.change.pull;
    world.order(team, "wanda", "/lock moving the VPC").await;
    let at = Timestamp::from_secs(1_800_000_000);
    world.planner.book().update_issue(99, |note| note.claim("run-9", false, Some("wanda"), at)).await.unwrap();
    write_lines(out, "shelf.jsonl", &dump(world.shelf.as_ref()).await);
    write_lines(out, "comments.jsonl", &comments(&world));
    println!("team: {}", world.approve_line("team").await);
    go_on.notify_one();
    applying.await.unwrap();
    world.planner.handle(&Signal::Tick).await.unwrap();
}

#[tokio::main]
async fn main() {
    let out = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../testing/fixtures/e2c886d/changes"));
    std::fs::create_dir_all(&out).unwrap();
    records(&out).await;
    shelf(&out).await;
}
