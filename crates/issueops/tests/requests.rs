//! Requests as people write them: what is accepted, what is answered, and what is rendered from them.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{POLICY, SEED_BLOCK, check, policy, set};
use proptest::prelude::*;
use runnersmith_issueops::policy::{EnvironmentShape, Policy};
use runnersmith_issueops::render::{RenderedFiles, VALUES_FILE, archive, render};
use runnersmith_issueops::request::{Known, Request, RequestKind, RequestProblem, parse, validate};

fn known() -> Known {
    let labels = |own: &[&str]| own.iter().map(ToString::to_string).collect();
    Known {
        environments: [
            ("Builds".to_owned(), labels(&["auto-scale", "aws", "Builds", "team-red"])),
            ("linux_large".to_owned(), labels(&["auto-scale", "aws", "linux_large", "gpu"])),
        ]
        .into(),
        organizations: BTreeMap::new(),
        open_changes: [("busy".to_owned(), 7)].into(),
        issue: 9,
    }
}

fn answers(body: &str) -> String {
    let problems = check(body, RequestKind::Set, &known()).unwrap_err();
    let line = |p: &RequestProblem| {
        format!("{}: given {:?}; allowed: {}; example: {:?}", p.field, p.given, p.allowed, p.example)
    };
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn with(key: &str, value: &str) -> String {
    let mut block: serde_json::Value = serde_json::from_str(SEED_BLOCK).unwrap();
    block["environment"] = "fresh".into();
    block[key] = value.into();
    block.to_string()
}

#[test]
fn the_seeds_block_has_its_meanings() {
    let set = set(SEED_BLOCK);
    assert_eq!((set.floor(), set.maximum()), (1, 3));
    assert_eq!(set.group().as_str(), "Default", "the group is compared without case and has the policy's spelling");
    let labels: Vec<&str> = set.labels().iter().map(|label| label.as_str()).collect();
    assert_eq!(labels, ["auto-scale", "aws", "linux_large"]);
    assert!(!set.is_edit());
}

#[test]
fn every_field_is_answered_for_itself_and_all_at_once() {
    let bad = r#"{"environment": "my-aws env", "organization": "evil", "minRunners": "-1", "maxRunners": "11",
        "runnerGroup": "Secret", "amiFilter": "x\"}\nresource \"a\" \"b\" {", "amiOwner": "999999999999",
        "labels": "ubuntu-latest", "instanceType": "p5.48xlarge", "region": "mars-east-1"}"#;
    insta::assert_snapshot!(answers(bad));
}

#[test]
fn names_are_unique_without_regard_to_case_and_have_one_open_change() {
    assert!(answers(&with("environment", "builds")).contains("differs from Builds in more than case"));
    assert!(answers(&with("environment", "BUSY")).contains("#7 is changing this one"));
    let mut own = known();
    own.issue = 7;
    assert!(check(&with("environment", "busy"), RequestKind::Set, &own).is_ok());
    let Request::Set(edit) = check(SEED_BLOCK, RequestKind::Set, &known()).unwrap() else { panic!() };
    assert!(edit.is_edit());
    let delete = |known: &Known| check(r#"{"environment": "busy"}"#, RequestKind::Delete, known);
    assert!(
        delete(&known()).unwrap_err()[0].allowed.contains("#7 is changing this one"),
        "nor is it deleted meanwhile"
    );
}

#[test]
fn an_issue_keeps_its_environment() {
    let mut own = known();
    own.issue = 7;
    for other in ["fresh", "Busy", "Builds"] {
        let problems = check(&with("environment", other), RequestKind::Set, &own).unwrap_err();
        assert!(problems[0].allowed.contains("busy, which this issue is changing"), "{other}: {problems:?}");
        assert_eq!(problems[0].example, "busy");
    }
    assert!(check(r#"{"environment": "Builds"}"#, RequestKind::Delete, &own).is_err());
}

#[test]
fn an_environment_keeps_its_organisation() {
    let mut known = known();
    known.organizations = [("linux_large".to_owned(), "acme".to_owned())].into();
    let asks = |organization: &str| check(&SEED_BLOCK.replace("acme", organization), RequestKind::Set, &known);
    assert!(asks("ACME").is_ok());
    let problems = asks("Acme-Labs").unwrap_err();
    assert_eq!((problems.len(), problems[0].field.as_str(), problems[0].example.as_str()), (1, "Organization", "acme"));
    assert!(check(&with("organization", "Acme-Labs"), RequestKind::Set, &known).is_ok(), "another environment may");
}

#[test]
fn a_new_set_cannot_take_another_teams_jobs() {
    assert!(answers(&with("labels", "team-red")).contains("team-red is a label of Builds, whose jobs it would take"));
    assert!(answers(&with("labels", "gpu")).contains("gpu is a label of linux_large"));
    assert!(answers(&with("labels", "macos-14")).contains("macos-14 is not one of them"));
    assert!(answers(&with("environment", "linux")).contains("not a label of other runners"));
    assert!(answers(&with("environment", "x64")).contains("not a label of other runners"));
    assert!(check(&with("labels", "team-blue, large"), RequestKind::Set, &known()).is_ok());
    // An environment's name is a label of its runners, whatever its labels are said to be.
    let mut named = known();
    named.environments.insert("LARGE".to_owned(), BTreeSet::new());
    let problems = check(&with("labels", "large"), RequestKind::Set, &named).unwrap_err();
    assert!(problems[0].allowed.contains("large is a label of LARGE"), "{problems:?}");
    let mut prefixed = known();
    prefixed.environments.insert("other".to_owned(), ["fresh".to_owned()].into());
    assert!(check(&with("maxRunners", "3"), RequestKind::Set, &prefixed).is_err(), "nor is its name another's label");
}

#[test]
fn look_alikes_are_refused_by_name() {
    assert!(answers(&with("environment", "lin\u{443}x")).contains("character 4 is U+0443, not an ASCII character"));
    assert!(answers(&with("organization", "\u{430}cme")).contains("U+0430"));
    assert!(answers(&with("maxRunners", "\u{ff13}")).contains("U+FF13"));
    assert!(answers(&with("environment", "a\u{200b}b")).contains(r"a\\u{200b}b"));
}

#[test]
fn numbers_are_whole_and_bounded() {
    for bad in ["+3", "3.0", "0", "11", "3 ", "1e1", "99999999999999999999", "0x3"] {
        let body = with("maxRunners", bad);
        assert_eq!(bad == "3 ", check(&body, RequestKind::Set, &known()).is_ok(), "{bad}");
    }
    assert!(answers(&with("minRunners", "4")).contains("a whole number from 0 to 3"));
}

#[test]
fn a_deletion_names_an_environment_that_is_there_exactly() {
    let delete = |name: &str| check(&format!("### Environment\n\n{name}\n"), RequestKind::Delete, &known());
    assert_eq!(delete("Builds").unwrap().environment().as_str(), "Builds");
    assert_eq!(delete("builds").unwrap_err()[0].example, "Builds");
    assert!(delete("nothing").unwrap_err()[0].allowed.contains("Builds, linux_large"));
}

fn shown(files: &RenderedFiles) -> String {
    files.iter().map(|(path, content)| format!("=== {path}\n{content}")).collect()
}

#[test]
fn the_folder_of_an_environment() {
    insta::assert_snapshot!(shown(&render(&set(SEED_BLOCK), &policy()).unwrap()));
}

#[test]
fn the_folder_of_an_environment_on_a_shared_plane() {
    let text =
        POLICY.replace("version = 1", "version = 1\nshape = \"shared-plane\"\nplane_path = \"/runnersmith/plane\"");
    let text = text.replace("region = \"eu-west-1\"\n\n", "region = \"eu-west-1\"\ndynamodb_table = \"locks\"\n\n");
    let policy = Policy::parse(&text).unwrap();
    assert!(matches!(policy.shape, EnvironmentShape::SharedPlane { .. }));
    let files = render(&set(SEED_BLOCK), &policy).unwrap();
    let some = ["main.tf", "backend.tf.json", VALUES_FILE];
    let files = files.into_iter().filter(|(path, _)| some.iter().any(|end| path.ends_with(end))).collect();
    insta::assert_snapshot!(shown(&files));
}

#[test]
fn the_scale_set_is_found_beside_the_module_wherever_that_is() {
    let source = |address: &str| {
        let text = POLICY.replace("../../modules/runnersmith", address);
        let text = text.replace("version = 1", "version = 1\nshape = \"shared-plane\"\nplane_path = \"/plane\"");
        let files = render(&set(SEED_BLOCK), &Policy::parse(&text).unwrap()).unwrap();
        let main = files.iter().find(|(path, _)| path.ends_with("main.tf")).unwrap().1.clone();
        main.lines().find_map(|line| line.trim().strip_prefix("source = ")).unwrap().to_owned()
    };
    for (address, wanted) in [
        ("../../modules/runnersmith", "../../modules/runnersmith/modules/scale-set"),
        ("../../terraform/", "../../terraform/modules/scale-set"),
        ("acme/runnersmith/aws", "acme/runnersmith/aws//modules/scale-set"),
        ("github.com/acme/runnersmith?ref=v1", "github.com/acme/runnersmith//modules/scale-set?ref=v1"),
        ("git::https://example.com/x.git?ref=v1", "git::https://example.com/x.git//modules/scale-set?ref=v1"),
        (
            "git::https://example.com/x.git//terraform?ref=v1",
            "git::https://example.com/x.git//terraform/modules/scale-set?ref=v1",
        ),
    ] {
        assert_eq!(source(address), format!("\"{wanted}\""));
    }
}

/// Every variable is declared, handed to the module and given a value (the App's secrets come from the environment).
#[test]
fn variables_are_declared_passed_and_given() {
    for shape in ["", "\nshape = \"shared-plane\"\nplane_path = \"/plane\""] {
        let policy = Policy::parse(&POLICY.replace("version = 1", &format!("version = 1{shape}"))).unwrap();
        let files = render(&set(SEED_BLOCK), &policy).unwrap();
        let file = |name: &str| files.iter().find(|(path, _)| path.ends_with(name)).unwrap().1;
        let declared: Vec<&str> =
            file("variables.tf").lines().filter_map(|l| l.strip_prefix("variable \"")?.split('"').next()).collect();
        let values: serde_json::Value = serde_json::from_str(file(VALUES_FILE)).unwrap();
        let mut given: Vec<&str> = values.as_object().unwrap().keys().map(String::as_str).collect();
        if shape.is_empty() {
            given.push("github_app");
        }
        given.sort_unstable();
        assert_eq!(declared, given);
        for name in declared {
            let used = format!("var.{name}");
            let word = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            assert!(file("main.tf").split(&used).skip(1).any(word), "{name} is not used in\n{}", file("main.tf"));
        }
    }
}

#[test]
fn the_same_request_is_rendered_to_the_same_bytes() {
    let rendered = render(&set(SEED_BLOCK), &policy()).unwrap();
    assert_eq!(rendered, render(&set(SEED_BLOCK), &policy()).unwrap());
}

#[test]
fn a_deletion_moves_the_folder() {
    let rendered = render(&set(SEED_BLOCK), &policy()).unwrap();
    let moved = archive(&rendered, set(SEED_BLOCK).environment(), &policy());
    assert_eq!(moved.len(), rendered.len());
    assert!(moved.keys().all(|path| path.starts_with("actions-runner-envs-archive/linux_large/")));
}

/// Syntax of HCL, shells, JSON, YAML and Markdown, and plain text.
fn hostile() -> impl Strategy<Value = String> {
    let bits = prop::sample::select(vec![
        "${",
        "}",
        "\"",
        "'",
        "%{",
        "\\",
        "\n",
        "$(id)",
        "`",
        "```",
        "<!--",
        "-->",
        ";",
        "|",
        "#",
        "//",
        "/*",
        "resource",
        "EOF",
        "<<",
        "*",
        "?",
        "amzn2",
        "\u{202e}",
        "\u{0}",
        "Default",
        "&&",
        ": ",
        "- ",
        "{{",
        "@acme/all",
        "x",
        "7",
        " ",
        "..",
        "/",
    ]);
    prop::collection::vec(bits, 0..12).prop_map(|bits| bits.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_parser_and_the_check_never_panic(body in any::<String>(), kind in prop::sample::select(RequestKind::ALL.to_vec())) {
        let _ = check(&body, kind, &known());
    }

    #[test]
    fn nor_on_text_that_is_nearly_right(values in prop::collection::vec(hostile(), 11)) {
        let form: String = runnersmith_issueops::request::Field::ALL
            .iter().zip(&values).map(|(field, value)| format!("### {field}\n\n{value}\n\n")).collect();
        let _ = check(&form, RequestKind::Set, &known());
    }

    /// Any group is allowed here, so that hostile groups get through; everything that gets through is only in the values.
    #[test]
    fn no_value_leaves_the_values_file(group in hostile(), filter in hostile(), name in hostile(), label in hostile()) {
        let policy = Policy::parse(&POLICY.replace("groups = [", "groups = [\"*\", ")).unwrap();
        let mut block: serde_json::Value = serde_json::from_str(SEED_BLOCK).unwrap();
        let plain = render_block(&block, &policy).unwrap();
        block["runnerGroup"] = group.clone().into();
        if let Some(files) = render_block(&block, &policy) {
            same_but_values(&plain, &files, &group)?;
        }
        block["amiFilter"] = filter.clone().into();
        if let Some(files) = render_block(&block, &policy) {
            same_but_values(&plain, &files, &filter)?;
        }
        for (key, value) in [("environment", &name), ("labels", &label)] {
            let mut block: serde_json::Value = serde_json::from_str(SEED_BLOCK).unwrap();
            block[key] = value.clone().into();
            if render_block(&block, &policy).is_some() {
                prop_assert!(value.trim().chars().all(|c| c.is_ascii_alphanumeric() || "-_., \n".contains(c)), "{value:?}");
            }
        }
    }
}

fn render_block(block: &serde_json::Value, policy: &Policy) -> Option<RenderedFiles> {
    let given = parse(&block.to_string(), RequestKind::Set).ok()?;
    match validate(&given, RequestKind::Set, policy, &Known::default()).ok()? {
        Request::Set(set) => Some(render(&set, policy).unwrap()),
        Request::Delete(_) => None,
    }
}

fn same_but_values(plain: &RenderedFiles, files: &RenderedFiles, value: &str) -> Result<(), TestCaseError> {
    for (path, content) in files {
        if path.ends_with(VALUES_FILE) {
            let read: serde_json::Value = serde_json::from_str(content).unwrap();
            let texts = [&read["runner_group_name"], &read["ami_filter"]["name"][0]];
            let is_there = value.trim().is_empty() || texts.iter().any(|text| text.as_str() == Some(value.trim()));
            prop_assert!(is_there || value.trim().eq_ignore_ascii_case("default"), "{value:?} in {content}");
            let keys: Vec<_> = read.as_object().unwrap().keys().cloned().collect();
            let was: serde_json::Value = serde_json::from_str(&plain[path]).unwrap();
            prop_assert_eq!(keys, was.as_object().unwrap().keys().cloned().collect::<Vec<_>>());
        } else {
            prop_assert_eq!(&plain[path], content);
        }
    }
    Ok(())
}
