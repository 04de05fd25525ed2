//! Requests and plans that mean harm: whatever is written into whichever field, it is refused or stays a value in the values
//! file. What holds is said once, in `support/invariants.rs`; here is what it is held against.

use std::cell::Cell;
use std::collections::BTreeSet;

use crate::support::{SEED_BLOCK, invariants};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use runnersmith_issueops::comment::{CHARS_MAX, Layout, length};
use runnersmith_issueops::digest::Digest;
use runnersmith_issueops::request::{BODY_BYTES_MAX, Field, Refused, RequestKind, parse};
use runnersmith_issueops::summary::Summary;
use serde_json::{Value, json};

/// Syntax of HCL, shells, YAML, JSON, Markdown and HTML, and what cannot be seen.
const BITS: &[&str] = &[
    "${file(\"/etc/passwd\")}",
    "${",
    "}",
    "%{ if true }",
    "%{",
    "$${",
    "<<EOF\n",
    "EOF\n",
    "\"",
    "\\\"",
    "'",
    "\\",
    "\n",
    "\r\n",
    "\r",
    "\0",
    "\u{1b}[0m",
    "#",
    "//",
    "/*",
    "resource \"null_resource\" \"x\" {}",
    "$(id)",
    "`id`",
    "; id",
    "&& id",
    "| sh",
    "&a ",
    "*a",
    "!!python/object/apply:os.system",
    ": ",
    "- ",
    "---\n",
    "? ",
    "{\"a\":",
    "[[[[",
    "]]]]",
    "```",
    "````\n",
    "~~~",
    "<!--",
    "-->",
    "<!-- runnersmith:state -->\n",
    "</details>",
    "<details>",
    "<script>",
    "@acme/all",
    "[x](http://x)",
    "![x](http://x)",
    "/approve 0123456789ab\n",
    "> ",
    "\n### Environment\n\n",
    "\n### Reason\n\n",
    "_No response_",
    "\u{feff}",
    "\u{202e}",
    "\u{2066}",
    "\u{200b}",
    "\u{e0041}",
    "\u{443}",
    "\u{430}cme",
    "\u{ff13}",
    "\u{212a}",
    "é",
    "😀",
    "../",
    "/etc/passwd",
    "{{",
    "{%",
    "%0a",
    "aws",
    "null",
    "true",
    "1e9",
    "-1",
    "x",
    " ",
];

/// What a harmless request may say in a field.
fn harmless(field: Field) -> Vec<&'static str> {
    match field {
        Field::Environment => vec!["linux_large", "Team_A", "0"],
        Field::Organization => vec!["acme", "ACME-labs"],
        Field::MinRunners => vec!["0", "1"],
        Field::MaxRunners => vec!["1", "3", "10"],
        Field::RunnerGroup => vec!["default", "Build Farm"],
        Field::AmiFilter => vec!["amzn2-ami-hvm-2.*-x86_64-ebs", ""],
        Field::AmiOwner => vec!["amazon", "123456789012"],
        Field::Labels => vec!["gpu", "team-blue, large", ""],
        Field::InstanceType => vec!["m5.large", "c6i.xlarge"],
        Field::Region => vec!["eu-west-1", "us-east-1"],
        Field::Reason => vec!["", "We build much."],
    }
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::collection::vec(prop::sample::select(BITS), 1..8).prop_map(|bits| bits.concat()),
        2 => "[ -~]{1,64}",
        1 => any::<String>(),
    ]
}

/// A value for each field; most are harmless, so that what is hostile in one gets as far as it can.
fn values() -> impl Strategy<Value = Vec<String>> {
    let one =
        |field: Field| prop_oneof![5 => prop::sample::select(harmless(field)).prop_map(str::to_owned), 1 => hostile()];
    Field::ALL.map(one).to_vec()
}

/// The ways to write a body.
fn body(values: &[String], form: u8, line_ends: bool, before: &str) -> String {
    let pairs = || Field::ALL.iter().zip(values).filter(|(_, value)| !value.is_empty());
    let object =
        || pairs().map(|(field, value)| (field.key().to_owned(), json!(value))).collect::<serde_json::Map<_, _>>();
    let raw = || pairs().map(|(field, value)| format!("\"{}\": \"{value}\"", field.key())).collect::<Vec<_>>();
    let text = match form {
        0 => pairs().map(|(field, value)| format!("### {field}\n\n{value}\n\n")).collect(),
        1 => format!("```json\n{}\n```\n", serde_json::to_string_pretty(&object()).unwrap()),
        2 => Value::Object(object()).to_string(),
        // As somebody writes it who does not know what a quote is.
        3 => format!("```json\n{{{}}}\n```\n", raw().join(",\n")),
        _ => format!("````\n{{{}}}\n````\n### Reason\n\n{{{}}}", raw().join(","), raw().join(",")),
    };
    let text = format!("{before}{text}");
    if line_ends { text.replace('\n', "\r\n") } else { text }
}

#[test]
fn no_value_of_any_request_leaves_the_values_file() {
    let (cases, rendered) = (1500, Cell::new(0));
    let mut runner = TestRunner::new(Config::with_cases(cases));
    let before = prop::sample::select(vec!["", "", "", "Please!\n\n", "\u{feff}", "> quoted\n\n", "<!--"]);
    let strategy = (values(), 0..5_u8, any::<bool>(), before);
    let outcome = runner.run(&strategy, |(values, form, line_ends, before)| {
        let folders = invariants::request(body(&values, form, line_ends, before).as_bytes());
        rendered.set(rendered.get() + u32::from(folders > 0));
        Ok(())
    });
    outcome.unwrap();
    assert!(rendered.get() > cases / 20, "{} of {cases} were rendered: the rest shows nothing", rendered.get());
}

/// Groups are the freest names: any visible ASCII. They get through, and are text.
#[test]
fn hostile_groups_get_through_as_text() {
    let (cases, rendered) = (300, Cell::new(0));
    let bits = BITS.iter().copied().filter(|bit| bit.is_ascii() && !bit.contains(char::is_control)).collect::<Vec<_>>();
    let group = prop::collection::vec(prop::sample::select(bits), 1..4).prop_map(|bits| bits.concat());
    let outcome = TestRunner::new(Config::with_cases(cases)).run(&(group, any::<bool>()), |(group, has_floor)| {
        let mut block: Value = serde_json::from_str(SEED_BLOCK).unwrap();
        block["runnerGroup"] = group.into();
        block["minRunners"] = if has_floor { "1" } else { "0" }.into();
        rendered.set(rendered.get() + u32::from(invariants::request(block.to_string().as_bytes()) > 0));
        Ok(())
    });
    outcome.unwrap();
    assert!(rendered.get() > cases / 2, "{} of {cases}", rendered.get());
}

#[test]
fn each_field_alone_is_refused_by_its_own_name_or_harmless() {
    for field in Field::ALL {
        for bit in BITS {
            let mut block: Value = serde_json::from_str(SEED_BLOCK).unwrap();
            block[field.key()] = format!("a{bit}b").into();
            let body = block.to_string();
            invariants::request(body.as_bytes());
            if let Err(problems) = crate::support::check(&body, RequestKind::Set, &Default::default()) {
                assert!(problems.iter().all(|problem| problem.field == field.title()), "{field} {bit:?}: {problems:?}");
            }
        }
    }
}

#[test]
fn a_large_body_is_refused_by_its_size_alone() {
    let block = format!("```json\n{SEED_BLOCK}\n```\n");
    let fillers =
        [" ", "\n", "x", "[", "{\"a\":", "`", "> ", "- ", "### Environment\n\n", "<!--", "😀", "*a*", "\u{0}"];
    for filler in fillers {
        for kind in RequestKind::ALL {
            let body = format!("{block}{}", filler.repeat((1 << 20) / filler.len()));
            let Err(Refused(problems)) = parse(&body, kind) else { panic!("{filler:?} was read") };
            assert_eq!(problems.len(), 1, "{filler:?}: nothing else is said, since nothing else was looked at");
            let wanted = format!("the issue has {} bytes; {BODY_BYTES_MAX} are read", body.len());
            assert_eq!((problems[0].field.as_str(), problems[0].allowed.as_str()), ("Issue", wanted.as_str()));
        }
    }
    let padded = |bytes: usize| format!("{block}{}", " ".repeat(bytes - block.len()));
    assert!(parse(&padded(BODY_BYTES_MAX), RequestKind::Set).is_ok(), "the last that is read");
    assert!(parse(&padded(BODY_BYTES_MAX + 1), RequestKind::Set).is_err());
}

#[test]
fn five_thousand_destroys_with_names_made_to_be_long_are_all_named() {
    // Equal for longer than is shown, and made of what needs the longest fences.
    let (same, count) = ("`\n```".repeat(130), 5000);
    let address = |n: usize| format!("aws_dynamodb_table.t[\"{same}{n}\"]");
    let resource =
        |n: usize| json!({"address": address(n), "type": "aws_dynamodb_table", "change": {"actions": ["delete"]}});
    let resources: Vec<Value> = (0..count).map(resource).collect();
    let plan = json!({"format_version": "1.2", "resource_changes": resources}).to_string();
    assert_eq!(invariants::plan_json(plan.as_bytes()), count);
    let layout = Layout::of(&Summary::of_show_json(plan.as_bytes()).unwrap(), &plan).unwrap();
    assert!(layout.continuations.iter().all(|page| length(page) < CHARS_MAX));
    let all = layout.continuations.concat();
    let hash =
        |line: &str| Some(line.strip_prefix("- destroyed ")?.rsplit_once("(sha256 ")?.1.split_once(')')?.0.to_owned());
    let named: BTreeSet<String> = all.lines().filter_map(hash).collect();
    let wanted: BTreeSet<String> = (0..count).map(|n| Digest::of(address(n).as_bytes()).short()).collect();
    assert_eq!(wanted.len(), count);
    assert!(named == wanted, "{} of {count} are named", named.len());
    // Everything that is shown elsewhere is in the digest: one text more or less is another digest.
    let digests = layout.digests();
    let texts: Vec<&String> = layout.continuations.iter().chain(&layout.file).collect();
    assert_eq!(digests, texts.iter().map(|text| Digest::of(text.as_bytes())).collect::<Vec<_>>());
    assert_eq!(digests.len(), layout.continuations.len() + 1);
}

#[test]
fn losses_are_named_before_everything_else_however_many_there_are() {
    let resource = |n: usize, actions: &[&str]| json!({"address": format!("aws_x.y[{n}]"), "type": "aws_x", "change": {"actions": actions}});
    let mut resources: Vec<Value> = (0..3000).map(|n| resource(n, &["create"])).collect();
    resources.extend((3000..3500).map(|n| resource(n, &["delete", "create"])));
    resources.extend((3500..4000).map(|n| resource(n, &["forget"])));
    resources.extend((4000..4500).map(|n| resource(n, &["delete"])));
    let plan = json!({"format_version": "1.2", "resource_changes": resources}).to_string();
    assert_eq!(invariants::plan_json(plan.as_bytes()), 4500);
}

proptest! {
    #![proptest_config(Config::with_cases(200))]

    #[test]
    fn comments_order_only_by_whole_lines_of_their_own(
        bits in prop::collection::vec(prop_oneof![
            prop::sample::select(vec!["/plan\n", "/approve 0123456789ab destroy\n", "/status", "/lock x\n", "\n", "\n\n", "- ", "> ", "    ", "```\n", "~~", "| a |\n| - |\n", "$$\n", "<details>", "</details>\n\n", "<b>", "</b>", "<!-- ", " -->\n\n", "[", "](x)", "*", "`", "text ", "[^1]: ", "===\n"]).prop_map(str::to_owned),
            hostile(),
        ], 0..12)
    ) {
        invariants::comment(bits.concat().as_bytes());
    }

    #[test]
    fn plans_are_shown_in_comments_that_fit_and_name_what_is_lost(
        resources in prop::collection::vec((hostile(), prop::sample::select(vec!["aws_sqs_queue", "aws_iam_role", "aws_security_group"]),
            prop::sample::select(vec![vec!["delete"], vec!["create"], vec!["update"], vec!["delete", "create"], vec!["forget"]])), 0..20),
        times in 1..60_usize,
    ) {
        let resources: Vec<Value> = resources.iter().map(|(text, kind, actions)| json!({"address": text.repeat(times), "type": kind,
            "change": {"actions": actions, "before": {text: text}, "after": {text: 1}}})).collect();
        let plan = json!({"format_version": "1.2", "terraform_version": "1.14.0", "resource_changes": resources, "resource_drift": resources});
        let touched = invariants::plan_json(plan.to_string().as_bytes());
        prop_assert_eq!(touched, resources.len());
    }

    #[test]
    fn a_policy_is_refused_or_says_nothing_that_leaves_its_place(field in prop::sample::select(vec![
        "../../modules/runnersmith", "acme-runner-states", "eu-west-1", "vpc-0123456789abcdef0", "subnet-0123456789abcdef0", "Build Farm", "gpu", "team-", "m5.large", "amazon",
    ]), value in hostile()) {
        let value = json!(value).to_string();
        let text = crate::support::POLICY.replace(&format!("\"{field}\""), &value);
        invariants::policy(text.as_bytes());
    }
}
