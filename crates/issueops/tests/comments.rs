//! The texts as people read them, how long they may get, and what foreign text can do in them: nothing.

use std::collections::BTreeSet;

use crate::support::world::{World, edited, person_lock, run_lock, writer};
use crate::support::{SEED_BLOCK, check, policy, set};
use proptest::prelude::*;
use pulldown_cmark::{Event as Md, Options, Parser, Tag};
use runnersmith_issueops::change::{
    Change, ChangeFailure, ChangeKind, ChangeStage, Denial, Editors, GivenUp, Left, LifecycleEvent, Liveness, Reply,
    State, Stopped, VoidWhy,
};
use runnersmith_issueops::comment::{
    AppliedView, CHARS_MAX, Layout, Marker, PlanView, invalid, length, reply, state_comment,
};
use runnersmith_issueops::render::{Difference, VALUES_FILE, render};
use runnersmith_issueops::request::{Known, RequestKind};
use runnersmith_issueops::summary::{EnvironmentFleet, FleetChange, GroupAccess, Summary, cost};
use serde_json::{Value, json};

fn resource(address: &str, kind: &str, actions: &[&str]) -> Value {
    json!({"address": address, "mode": "managed", "type": kind, "change": {"actions": actions,
        "before": {"policy": "old", "memory": 1}, "after": {"policy": "new", "memory": 2, "cidr_ipv4": "0.0.0.0/0"},
        "after_unknown": {}, "before_sensitive": {}, "after_sensitive": {}}})
}

fn summary(resources: &[Value]) -> Summary {
    let plan = json!({"format_version": "1.2", "terraform_version": "1.14.0", "resource_changes": resources});
    Summary::of_show_json(plan.to_string().as_bytes()).unwrap()
}

fn fleet(block: &str) -> EnvironmentFleet {
    let files = render(&set(block), &policy()).unwrap();
    EnvironmentFleet::of_values(files.iter().find(|(path, _)| path.ends_with(VALUES_FILE)).unwrap().1).unwrap()
}

fn fleet_change() -> FleetChange {
    let more = SEED_BLOCK.replace("\"maxRunners\": \"3\"", "\"maxRunners\": \"10\", \"labels\": \"gpu\"");
    let access = GroupAccess::Selected { repositories: vec!["acme/api".into(), "acme/web".into()], public: true };
    FleetChange { before: Some(fleet(SEED_BLOCK)), after: Some(fleet(&more)), access }
}

/// The state comment of a posted plan, and its layout.
fn shown(summary: &Summary, text: &str, differences: &[Difference]) -> (String, Layout) {
    let layout = Layout::of(summary, text).unwrap();
    let mut world = World::new(ChangeKind::Set);
    world.parts.continuations = layout.digests();
    world.change.is_hand_edited = !differences.is_empty();
    world.post_plan(summary.losses().next().is_some());
    let fleet = fleet_change();
    let cost = cost(summary, &fleet, &policy());
    let view = PlanView { summary, layout: &layout, fleet: &fleet, cost: &cost, differences, file_url: None };
    (state_comment(&world.change, &policy(), Some(&view), Some(&person_lock("otto"))), layout)
}

#[test]
fn a_plan_comment() {
    let summary = summary(&[
        resource("module.runners.aws_sqs_queue.builds", "aws_sqs_queue", &["delete", "create"]),
        resource("module.runners.aws_iam_role_policy.scale_up", "aws_iam_role_policy", &["update"]),
        resource(
            "module.runners.aws_vpc_security_group_ingress_rule.ssh",
            "aws_vpc_security_group_ingress_rule",
            &["create"],
        ),
        resource("module.runners.aws_kms_key.secrets[0]", "aws_kms_key", &["create"]),
    ]);
    let edited = [Difference::Changed("actions-runner-envs/linux_large/main.tf".into())];
    let (text, layout) = shown(&summary, "Terraform will perform the following actions:\n\n  # …\n", &edited);
    assert_eq!((layout.continuations.len(), layout.file.is_some()), (0, false));
    insta::assert_snapshot!(text);
}

#[test]
fn five_thousand_destroys_are_all_named_in_comments_that_fit() {
    let addresses: Vec<String> = (0..5000)
        .map(|n| format!("module.runners[\"{n:05}\"].aws_dynamodb_table.one_with_a_long_name[\"{n}\"]"))
        .collect();
    let resources: Vec<Value> =
        addresses.iter().map(|address| resource(address, "aws_dynamodb_table", &["delete"])).collect();
    let summary = summary(&resources);
    let text = "  # a line of the plan\n".repeat(100_000);
    let (main, layout) = shown(&summary, &text, &[]);
    assert!(length(&main) < CHARS_MAX);
    assert!(layout.continuations.iter().all(|page| length(page) < CHARS_MAX));
    let all = layout.continuations.concat();
    let named: BTreeSet<&str> =
        all.lines().filter_map(|line| line.strip_prefix("- destroyed ")?.strip_suffix("  (holds state)")).collect();
    assert!(addresses.iter().all(|address| named.contains(address.as_str())));
    assert!(addresses.iter().all(|address| layout.file.as_ref().unwrap().contains(address.as_str())));
    assert_eq!(layout.digests().len(), layout.continuations.len() + 1, "the file is in the digest, too");
    assert!(layout.continuations.len() < 10);
    assert_eq!(Marker::of(&layout.continuations[1]), Some(Marker::Continuation(2)));
    assert!(layout.continuations[1].contains("2 of "));
}

#[test]
fn what_is_lost_comes_before_what_is_added_and_a_plan_that_cannot_be_shown_is_refused() {
    let long = "x".repeat(500);
    let many = |n: usize, actions: &[&str]| -> Vec<Value> {
        (0..n).map(|i| resource(&format!("a.{i}{long}"), "a", actions)).collect()
    };
    let mut resources = many(3000, &["create"]);
    resources.extend(many(300, &["delete"]));
    let layout = Layout::of(&summary(&resources), "").unwrap();
    assert_eq!(layout.continuations.len(), 20);
    assert_eq!(layout.continuations.concat().matches("- destroyed").count(), 300);
    assert!(layout.continuations.last().unwrap().contains("more, none of them lost, are in the plan's file"));
    assert!(Layout::of(&summary(&many(20_000, &["delete"])), "").is_err());
}

#[test]
fn a_marker_counts_in_the_first_line_only() {
    for marker in
        [Marker::State, Marker::Continuation(7), Marker::Reply, Marker::Invalid, Marker::Drift("linux".into())]
    {
        assert_eq!(Marker::of(&format!("{}\ntext", marker.line())), Some(marker.clone()));
        assert_eq!(Marker::of(&format!("text\n{}", marker.line())), None);
    }
}

#[test]
fn the_answer_to_an_invalid_request() {
    let bad = r#"{"environment": "my-aws`env", "organization": "@evil/all", "maxRunners": "1000"}"#;
    insta::assert_snapshot!(invalid(&check(bad, RequestKind::Set, &Known::default()).unwrap_err(), RequestKind::Set));
}

fn all_replies(world: &mut World) -> Vec<Reply> {
    let lock = run_lock(6, Liveness::Dead).lock;
    let mut replies = vec![
        Reply::Status { lock: Some(run_lock(6, Liveness::Dead)), run: Liveness::Dead },
        Reply::Differs(world.parts.changed(&crate::support::world::parts("bbbb"))),
        Reply::Locked { by: "otto".into(), reason: "moving".into() },
        Reply::Unlocked(lock.clone()),
        Reply::Cancelled(GivenUp::By("otto".into())),
        Reply::Cancelled(GivenUp::Closed),
        Reply::Cancelled(GivenUp::Superseded),
        Reply::Draining { until: world.now },
        Reply::DrainOverdue { left: Left { jobs: 2, machines: 1, ..Left::default() }, digest: world.parts.digest() },
        Reply::DrainOverdue { left: Left { machines: 1, ..Left::default() }, digest: world.parts.digest() },
        Reply::Failed(ChangeFailure {
            resource: Some("aws_x.y".into()),
            ..ChangeFailure::new(ChangeStage::Apply, "Error: denied")
        }),
        Reply::Failed(ChangeFailure {
            stopped: Some(Stopped::AtWork),
            ..ChangeFailure::new(ChangeStage::Destroy, "cancelled")
        }),
        Reply::Failed(ChangeFailure {
            stopped: Some(Stopped::BeforeItBegan),
            ..ChangeFailure::new(ChangeStage::Apply, "cancelled")
        }),
        Reply::Interrupted { run: "4711".into() },
        Reply::NotMerged { head: "aaaa".into(), why: "Required check is missing".into() },
        Reply::Applied,
        Reply::Edited { author: "wanda".into() },
        Reply::MergedEarly { plans: true },
        Reply::PlanReady,
        Reply::MergedEarly { plans: false },
    ];
    replies.extend([VoidWhy::Expired, VoidWhy::Pushed, VoidWhy::HandEdited, VoidWhy::RequestInvalid].map(Reply::Void));
    let line = format!("/approve {} destroy", world.digest());
    let denials = [
        Denial::NeedsWrite,
        Denial::NeedsTeam("platform".into()),
        Denial::TeamUnknown("platform".into()),
        Denial::IsAuthor,
        Denial::NeedsAdmin,
        Denial::NoPlan,
        Denial::OtherDigest { current: world.digest() },
        Denial::NeedsDigest { line: line.clone() },
        Denial::NeedsDestroy { line },
        Denial::NeedsFiles { line: edited("aaaa").plan_line() },
        Denial::OtherFiles { line: edited("aaaa").plan_line() },
        Denial::NotADeletion,
        Denial::IsLocked(lock.clone()),
        Denial::NotYourLock(person_lock("otto").lock),
        Denial::RunNotDead(lock),
        Denial::NotLocked,
        Denial::Busy("applying".into()),
        Denial::HalfDone("interrupted".into()),
        Denial::Over("done".into()),
        Denial::NotMergeable("conflict".into()),
        Denial::NeedsTwo,
        Denial::EditorsUnknown,
    ];
    replies.extend(denials.map(|why| Reply::Denied { command: "approve".into(), actor: "wanda".into(), why }));
    let comment = world.comment(&writer(), "/approvexyz\n/help");
    let help = runnersmith_issueops::change::decide(
        &world.change,
        &LifecycleEvent::Comment { comment, lock: None, run: Liveness::Unknown, editors: Editors::NONE, edited: None },
        &world.rules,
        world.now,
    );
    replies.extend(crate::support::world::replies(&help.steps).into_iter().cloned());
    replies
}

fn applied() -> AppliedView {
    AppliedView {
        webhook_endpoint: Some("https://x.execute-api.eu-west-1.amazonaws.com/webhook".into()),
        webhook_secret_parameter: Some("/runnersmith/linux_large/webhook-secret".into()),
        labels: set(SEED_BLOCK).labels().to_vec(),
        maximum: 3,
    }
}

#[test]
fn every_answer() {
    let mut world = World::planned(ChangeKind::Set);
    let replies = all_replies(&mut world);
    let texts: Vec<String> = replies.iter().map(|one| reply(one, &world.change, &policy(), Some(&applied()))).collect();
    insta::assert_snapshot!(texts.join("\n-----\n"));
}

#[test]
fn every_state() {
    let mut world = World::planned(ChangeKind::Delete);
    let planned = world.change.state.clone();
    let State::Planned(plan) = planned.clone() else { panic!() };
    let line = format!("/approve {} destroy", world.digest());
    world.says(&writer(), &line);
    let State::Checking(_, approval) = world.change.state.clone() else { panic!() };
    let failure = ChangeFailure::new(ChangeStage::Apply, "x");
    let left = Some(Left { jobs: 1, machines: 2, ..Left::default() });
    let states = [
        State::Requested,
        State::HandEdited,
        State::Planning,
        planned,
        State::Expired,
        State::Checking(plan.clone(), approval.clone()),
        State::Draining { plan: plan.clone(), approval: approval.clone(), until: world.now, left, is_overdue: false },
        State::Applying { plan, approval, run: "4711".into() },
        State::Applied { head: "aaaa".into() },
        State::NotMerged { head: "aaaa".into(), why: "x".into() },
        State::Done,
        State::Failed(failure.clone()),
        State::Failed(ChangeFailure { stopped: Some(Stopped::AtWork), ..failure }),
        State::Interrupted { run: "4711".into() },
        State::Cancelled,
    ];
    let text = |state: State| state_comment(&Change { state, ..world.change.clone() }, &policy(), None, None);
    let edited_by_hand = {
        let edited_files = Some(edited("0123456789abcdef0123456789abcdef01234567"));
        Change { state: State::HandEdited, is_hand_edited: true, edited_files, ..world.change.clone() }
    };
    let shown = state_comment(&edited_by_hand, &policy(), None, None);
    insta::assert_snapshot!(states.map(text).into_iter().chain([shown]).collect::<Vec<_>>().join("\n-----\n"));
}

#[test]
fn giving_up_what_was_begun_does_not_say_that_nothing_is_applied() {
    for kind in [ChangeKind::Set, ChangeKind::Delete] {
        let mut world = World::planned(kind);
        world.change.is_half_done = true;
        for why in [GivenUp::By("otto".into()), GivenUp::Closed, GivenUp::Superseded] {
            let text = reply(&Reply::Cancelled(why), &world.change, &policy(), None);
            assert!(!text.contains("Nothing is applied") && text.contains("goes on from there"), "{text}");
        }
        world.change.state = State::Cancelled;
        assert!(!state_comment(&world.change, &policy(), None, None).contains("nothing is applied"));
    }
}

#[test]
fn a_dead_run_that_was_to_plan_is_reported() {
    let world = World::new(ChangeKind::Set);
    let status = |run| reply(&Reply::Status { lock: None, run }, &world.change, &policy(), None);
    assert!(status(Liveness::Dead).contains("`/plan` begins again"));
    assert!(!status(Liveness::Unknown).contains("begins again"));
}

/// What a text would do on GitHub beside being read: HTML that is not ours, links, images, footnotes.
fn does(text: &str) -> Vec<String> {
    let ours = ["<!-- runnersmith:", "<details>", "</details>", "<summary>", "</summary>"];
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_GFM | Options::ENABLE_FOOTNOTES | Options::ENABLE_STRIKETHROUGH;
    let mut done = Vec::new();
    let mut in_code = false;
    for event in Parser::new_ext(text, options) {
        match event {
            Md::Html(html) | Md::InlineHtml(html) if !ours.iter().any(|own| html.starts_with(own)) => {
                done.push(html.to_string())
            }
            Md::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => done.push(dest_url.to_string()),
            Md::FootnoteReference(name) => done.push(name.to_string()),
            Md::Start(Tag::CodeBlock(_)) => in_code = true,
            Md::End(pulldown_cmark::TagEnd::CodeBlock) => in_code = false,
            Md::Text(text) if !in_code && text.contains('@') => done.push(text.to_string()),
            _ => {}
        }
    }
    done
}

fn hostile() -> impl Strategy<Value = String> {
    let bits = prop::sample::select(vec![
        "`",
        "```",
        "````````",
        "\n",
        "\n\n",
        "\r",
        " ",
        "    ",
        "<script>",
        "</details>",
        "<!-- runnersmith:state -->",
        "-->",
        "@acme/all",
        "[x](http://x)",
        "![x](http://x)",
        "http://x",
        "x",
        "|",
        "\\",
        "> ",
        "- ",
        "# ",
        "/approve 0123456789ab",
        "\u{202e}",
        "\u{0}",
        "😀",
    ]);
    (prop::collection::vec(bits, 0..12), 1_usize..200).prop_map(|(bits, times)| bits.concat().repeat(times))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn foreign_text_in_a_plan_does_nothing_and_fits(texts in prop::collection::vec(hostile(), 1..30), plan in hostile()) {
        let kinds = ["aws_iam_role", "aws_security_group", "aws_sqs_queue"];
        let mut resources: Vec<Value> = texts.iter().enumerate().map(|(n, text)| resource(text, kinds[n % 3], &["update"])).collect();
        for (resource, text) in resources.iter_mut().zip(&texts) {
            resource["change"]["before"][text] = json!(text);
        }
        let differences: Vec<Difference> = texts.iter().map(|text| Difference::Extra(text.clone())).collect();
        let (main, layout) = shown(&summary(&resources), &plan, &differences);
        for text in layout.continuations.iter().chain([&main]) {
            prop_assert!(length(text) < CHARS_MAX, "{}", length(text));
            prop_assert_eq!(does(text), Vec::<String>::new());
            let lines = text.lines().filter(|line| line.starts_with("<!-- runnersmith:")).count();
            prop_assert!(lines >= 1 && text.starts_with("<!-- runnersmith:"));
            prop_assert!(runnersmith_issueops::command::parse(text).is_empty(), "our own comments order nothing");
        }
    }

    #[test]
    fn foreign_text_in_an_answer_does_nothing_and_fits(text in hostile()) {
        let mut world = World::planned(ChangeKind::Set);
        world.change.environment = text.clone();
        let failure = ChangeFailure { resource: Some(text.clone()), ..ChangeFailure::new(ChangeStage::Apply, text.repeat(20)) };
        let why = |why| Reply::Denied { command: "approve".into(), actor: text.clone(), why };
        let changed = world.parts.changed(&crate::support::world::parts(&text));
        let replies = [
            Reply::Failed(failure),
            Reply::NotMerged { head: text.clone(), why: text.repeat(20) },
            why(Denial::NotMergeable(text.clone())),
            why(Denial::NeedsTeam(text.clone())),
            Reply::Differs(changed),
            Reply::Locked { by: text.clone(), reason: text.clone() },
            Reply::Interrupted { run: text.clone() },
        ];
        for one in &replies {
            let said = reply(one, &world.change, &policy(), None);
            prop_assert!(length(&said) < CHARS_MAX, "{}", length(&said));
            prop_assert_eq!(does(&said), Vec::<String>::new());
            prop_assert!(runnersmith_issueops::command::parse(&said).is_empty());
        }
        let body = json!({"environment": &text, "organization": &text, "amiFilter": &text}).to_string();
        if let Err(problems) = check(&body, RequestKind::Set, &Known::default()) {
            let said = invalid(&problems, RequestKind::Set);
            prop_assert!(length(&said) < CHARS_MAX);
            prop_assert_eq!(does(&said), Vec::<String>::new());
        }
    }
}
