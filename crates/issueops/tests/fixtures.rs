//! Changes and comments of an earlier version are understood, and decided on from where they stand.

use crate::support::world::{World, applies, denial, rereads, writer};
use runnersmith_issueops::change::{Change, State};
use runnersmith_issueops::comment::Marker;
use runnersmith_types::Timestamp;
use serde_json::Value;

fn lines(name: &str) -> Vec<Value> {
    let path = format!("{}/../testing/fixtures/e2c886d/changes/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// An environment's change as it lies in the record store, with the world around it as it was.
fn world(environment: &str) -> World {
    let key = format!("changes/{environment}/change.json");
    let line = lines("shelf.jsonl").into_iter().find(|line| line["key"] == key.as_str()).unwrap();
    let record: Value = serde_json::from_str(line["text"].as_str().unwrap()).unwrap();
    let change: Change = serde_json::from_value(record["change"].clone()).unwrap();
    let mut world = World::new(change.kind);
    let plan = change.state.plan().unwrap();
    (world.parts, world.now) = (plan.parts.clone(), Timestamp(plan.posted_at.as_millis() + 60_000));
    // Comments are numbered through all issues.
    world.next_comment = 5_000;
    world.change = change;
    world
}

#[test]
fn a_plan_that_an_earlier_version_has_shown_is_approved_by_the_line_that_it_showed() {
    let mut world = world("team");
    let comments = lines("comments.jsonl");
    let shown =
        comments.iter().filter_map(|line| line["body"].as_str()).find(|body| body.contains("## Runners: `team`"));
    let line = shown.unwrap().lines().find(|line| line.starts_with("/approve ")).unwrap().to_owned();
    let mut comment = world.comment(&writer(), &line);
    comment.pull = world.change.pull;
    let steps = world.received(comment);
    assert!(denial(&steps).is_none() && rereads(&steps), "{steps:?}");
    assert!(matches!(&world.change.state, State::Checking(_, approval) if approval.by.login == "wanda"));
    assert!(applies(&world.checks()), "nothing has changed since");
    assert!(matches!(world.change.state, State::Applying { .. }));
}

#[test]
fn our_comments_of_an_earlier_version_are_found_again() {
    let (mut states, mut replies, mut invalid) = (0, 0, 0);
    for line in lines("comments.jsonl") {
        let (author, body) = (line["author"].as_str().unwrap(), line["body"].as_str().unwrap());
        match Marker::of(body) {
            Some(Marker::State) => states += 1,
            Some(Marker::Reply) => replies += 1,
            Some(Marker::Invalid) => invalid += 1,
            other => assert!(other.is_none() && author != "github-actions[bot]", "{body}"),
        }
    }
    assert_eq!((states, replies, invalid), (5, 9, 1));
    // Long plans and drift are not among them.
    assert_eq!(Marker::of("<!-- runnersmith:plan:2 -->\n…"), Some(Marker::Continuation(2)));
    assert_eq!(Marker::of("<!-- runnersmith:drift:old -->\n…"), Some(Marker::Drift("old".into())));
}
