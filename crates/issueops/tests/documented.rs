//! `docs/issueops.md` says what the code does: fields, commands, states, the digest's parts and the policy's defaults.

use std::collections::BTreeSet;

use crate::support::world::{World, parts};
use runnersmith_issueops::change::{ChangeFailure, ChangeStage, State};
use runnersmith_issueops::command::CommentCommand;
use runnersmith_issueops::digest::{Digest, DigestInput};
use runnersmith_issueops::policy::{FILE, Policy};
use runnersmith_issueops::request::Field;

const DOCS: &str = include_str!("../../../docs/issueops.md");
const RAW: &str = include_str!("../src/policy/raw.rs");

/// The rows of the table below a heading: their cells.
fn table(heading: &str) -> Vec<Vec<String>> {
    let (_, rest) = DOCS.split_once(&format!("{heading}\n")).unwrap();
    let lines = rest.lines().skip_while(|line| !line.starts_with("| ---")).skip(1);
    let rows = lines.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn code_block(fence: &str) -> &'static str {
    DOCS.split_once(fence).unwrap().1.split_once("\n```").unwrap().0
}

#[test]
fn every_field_of_a_request_is_documented() {
    let rows: Vec<[String; 2]> = table("## For who asks").iter().map(|row| [row[0].clone(), row[1].clone()]).collect();
    let fields = Field::ALL.map(|field| [field.title().to_owned(), format!("`{}`", field.key())]);
    assert_eq!(rows, fields);
}

#[test]
fn every_command_is_documented() {
    let rows: Vec<String> = table("## For who approves").iter().map(|row| row[0].clone()).collect();
    assert_eq!(rows, CommentCommand::FORMS.map(|(form, _)| format!("`{form}`")));
}

#[test]
fn every_state_is_documented_with_its_way_out() {
    let mut world = World::planned(runnersmith_issueops::change::ChangeKind::Set);
    let State::Planned(plan) = world.change.state.clone() else { panic!("not planned") };
    let line = format!("/approve {}", world.digest());
    world.says(&crate::support::world::writer(), &line);
    let State::Checking(_, approval) = world.change.state.clone() else { panic!("not checking") };
    let states = [
        State::Requested,
        State::HandEdited,
        State::Planning,
        State::Planned(plan.clone()),
        State::Expired,
        State::Checking(plan.clone(), approval.clone()),
        State::Draining {
            plan: plan.clone(),
            approval: approval.clone(),
            until: world.now,
            left: None,
            is_overdue: false,
        },
        State::Applying { plan, approval, run: String::new() },
        State::Applied { head: String::new() },
        State::NotMerged { head: String::new(), why: String::new() },
        State::Failed(ChangeFailure::new(ChangeStage::Apply, "")),
        State::Interrupted { run: String::new() },
        State::Done,
        State::Cancelled,
    ];
    let rows = table("### States, and the way out of each");
    assert_eq!(rows.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), states.each_ref().map(State::word));
    for (row, state) in rows.iter().zip(&states) {
        assert_eq!(row[2] == "–", *state == State::Done, "{row:?}");
    }
}

#[test]
fn every_part_of_the_digest_is_documented() {
    let other = DigestInput {
        plan_file: Digest::of(b"x"),
        head: "bbbb".into(),
        base: Digest::of(b"x"),
        state_lineage: "another".into(),
        state_serial: 9,
        lock_file: Digest::of(b"x"),
        terraform_version: "9".into(),
        runnersmith_version: "9".into(),
        continuations: vec![Digest::of(b"x")],
    };
    let parts: Vec<String> = parts("aaaa").changed(&other).into_iter().map(|changed| changed.part).collect();
    let (_, rest) = DOCS.split_once("### What the digest covers\n").unwrap();
    let listed: Vec<&str> =
        rest.lines().skip_while(|line| !line.starts_with("- ")).map_while(|line| line.strip_prefix("- ")).collect();
    assert_eq!(listed, parts);
}

/// Fields of the policy's file by section, as `raw.rs` declares them.
fn declared() -> BTreeSet<String> {
    let (mut fields, mut section) = (BTreeSet::new(), None::<String>);
    for line in RAW.lines() {
        let name = |prefix: &str| line.strip_prefix(prefix).and_then(|rest| rest.split([' ', '{']).next());
        if line == "struct RawPolicy {" {
            section = Some(String::new());
        } else if let Some(name) = name("struct Raw") {
            let snake = if name == "AppSecrets" { "app_secrets".to_owned() } else { name.to_lowercase() };
            section = Some(format!("{snake}."));
        } else if line == "}" {
            section = None;
        } else if let Some(section) = &section
            && let Some((field, kind)) = line.trim().split_once(": ")
            && !kind.contains("Raw")
            && field != "prices"
        {
            fields.insert(format!("{section}{field}"));
        }
    }
    fields
}

#[test]
fn every_field_of_the_policy_is_documented() {
    assert!(DOCS.contains(&format!("`{FILE}`")));
    let (mut fields, mut section) = (BTreeSet::new(), String::new());
    for line in code_block("```toml\n").lines() {
        let line = line.trim_start_matches("# ");
        if line.starts_with('[') {
            section = format!("{}.", line.trim_start_matches('[').split(']').next().unwrap());
        } else if let Some((field, _)) = line.split_once(" = ").filter(|(field, _)| !field.contains(' ')) {
            fields.insert(format!("{}{field}", if section == "." { "" } else { &section }));
        }
    }
    assert!(fields.remove("prices.\"m5.large\""), "any type may stand there");
    let declared = declared();
    assert!(declared.len() > 30, "{declared:?}");
    assert_eq!(fields, declared);
}

#[test]
fn the_documented_policy_is_made_of_defaults() {
    let documented = Policy::parse(code_block("```toml\n")).unwrap();
    let least = r#"
        version = 1
        organizations = ["acme"]
        module_source = "../../modules/runnersmith"
        [backend]
        bucket = "acme-runner-states"
        region = "eu-west-1"
        [[network]]
        region = "eu-west-1"
        vpc_id = "vpc-0123456789abcdef0"
        subnet_ids = ["subnet-0123456789abcdef0"]
    "#;
    assert_eq!(documented, Policy::parse(least).unwrap());
}
