//! The files as a whole: read back by what reads them (the policy's parser, the reader of issues), and nothing left unfilled.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::collections::{BTreeMap, BTreeSet};

use runnersmith_control_repo::{Cannot, LaidOutFiles, PINS, WORKFLOW_FILE, Wishes, lay_out, policy_file};
use runnersmith_issueops::policy::{self, Policy};
use runnersmith_issueops::request::{self, Field, Known, Request, RequestKind};

fn wishes() -> Wishes {
    let text = |text: &str| Some(text.to_owned());
    Wishes {
        repository: text("acme/runner-control"),
        organizations: vec!["acme".to_owned()],
        region: text("eu-west-1"),
        vpc: text("vpc-0123456789abcdef0"),
        subnets: vec!["subnet-0123456789abcdef0".to_owned()],
        bucket: text("acme-runner-states"),
        source: text("acme/runnersmith"),
        ..Wishes::default()
    }
}

/// Wishes of every kind.
fn others() -> Vec<Wishes> {
    let text = |text: &str| Some(text.to_owned());
    vec![
        wishes(),
        Wishes {
            plan_role_arn: text("arn:aws:iam::123456789012:role/runnersmith-plan"),
            apply_role_arn: text("arn:aws:iam::123456789012:role/runnersmith-apply"),
            platform_team: text("acme/platform"),
            lock_table: text("locks"),
            shape: text("shared-plane"),
            plane_path: text("/runnersmith/plane"),
            binary_sha256: text(&"a".repeat(64)),
            ..wishes()
        },
        Wishes {
            server_url: text("https://github.example.com"),
            repository_id: Some(7),
            owner_id: Some(8),
            default_branch: text("trunk"),
            module_source: text("../../terraform"),
            runs_on: text("hosted"),
            ..wishes()
        },
    ]
}

const OWN_POLICY: &str = include_str!("../../issueops/tests/support/policy.toml");

/// A field of a form, as far as GitHub's rendering needs it.
#[derive(Debug)]
struct Element {
    kind: String,
    label: String,
    options: Vec<String>,
    default: Option<usize>,
    value: Option<String>,
    is_needed: bool,
}

fn text_of(line: &str, name: &str) -> Option<String> {
    let rest = line.trim().strip_prefix(name)?.strip_prefix(": ")?;
    serde_json::from_str(rest).ok().or_else(|| Some(rest.to_owned()))
}

/// Reads a form as it is written here: one key on a line. Whether that is YAML, and a form, is checked elsewhere.
fn elements(form: &str) -> Vec<Element> {
    let mut found: Vec<Element> = Vec::new();
    for line in form.lines() {
        if let Some(kind) = line.strip_prefix("  - type: ") {
            let (kind, label) = (kind.to_owned(), String::new());
            found.push(Element { kind, label, options: vec![], default: None, value: None, is_needed: false });
        }
        let Some(last) = found.last_mut() else { continue };
        last.label = text_of(line, "label").unwrap_or(std::mem::take(&mut last.label));
        last.value = text_of(line, "value").or(last.value.take());
        last.default = text_of(line, "default").map(|text| text.parse().unwrap()).or(last.default);
        last.is_needed |= line.trim() == "required: true";
        if let Some(option) = line.strip_prefix("        - ") {
            last.options.push(serde_json::from_str(option).unwrap());
        }
    }
    found.retain(|element| element.kind != "markdown");
    found
}

/// The body that GitHub makes of a filled form. A dropdown that has a default has it; what is left empty says so.
fn rendered(elements: &[Element], answers: &BTreeMap<Field, &str>) -> String {
    let section = |element: &Element| {
        let answer = answers.get(&Field::named(&element.label).unwrap()).map(ToString::to_string);
        let chosen = element.default.map(|at| element.options[at].clone());
        let value = answer.or(chosen).or(element.value.clone());
        assert!(value.is_some() || !element.is_needed, "GitHub would not take the form without {}", element.label);
        if let (Some(value), "dropdown") = (&value, element.kind.as_str()) {
            assert!(element.options.contains(value), "{value} is no choice of {}", element.label);
        }
        format!("### {}\n\n{}\n\n", element.label, value.unwrap_or_else(|| "_No response_".to_owned()))
    };
    elements.iter().map(section).collect()
}

fn form(files: &LaidOutFiles, kind: RequestKind) -> Vec<Element> {
    elements(&files[&format!(".github/ISSUE_TEMPLATE/{}.yml", kind.label())])
}

fn request(body: &str, kind: RequestKind, policy: &Policy, known: &Known) -> Request {
    let given = request::parse(body, kind).unwrap_or_else(|error| panic!("{error:?}\n{body}"));
    request::validate(&given, kind, policy, known).unwrap_or_else(|error| panic!("{error:?}\n{body}"))
}

#[test]
fn the_policy_that_is_laid_out_is_one_and_says_what_was_asked_for() {
    for wishes in others() {
        let policy = Policy::parse(&lay_out(&wishes, None).unwrap()[policy::FILE]).unwrap();
        assert_eq!(policy.organizations[0].as_str(), "acme");
        assert_eq!(policy.backend.bucket, "acme-runner-states");
        assert_eq!(policy.networks[0].subnet_ids, wishes.subnets);
        assert_eq!(policy.ghes_url, wishes.server_url);
        assert_eq!(policy.runners.maximum, 10);
    }
}

/// Every field of the policy stands in the file, if only as a comment, with its default.
#[test]
fn the_policy_file_shows_every_field_with_its_default() {
    let laid = policy_file(&wishes());
    let without = Policy::parse(&laid).unwrap();
    // What is a comment and a default, uncommented, says the same; examples without a default are known.
    let examples = [
        "plane_path",
        "ghes_url",
        "ghes_ca",
        "dynamodb_table",
        "kms_key_id",
        "team",
        "webhook",
        "runners",
        "syncer",
        "\"m5.large\"",
    ];
    let mut fields = 0;
    let uncommented: String = laid
        .lines()
        .map(|line| {
            let field = line.strip_prefix("# ").and_then(|rest| Some((rest.split_once(" = ")?.0, rest)));
            match field {
                Some((name, rest)) if !name.contains(' ') && !examples.contains(&name) => {
                    fields += 1;
                    format!("{rest}\n")
                }
                _ => format!("{line}\n"),
            }
        })
        .collect();
    assert!(fields > 15, "{fields}");
    assert_eq!(Policy::parse(&uncommented).unwrap(), without);
    // Each field that the parser knows is in the text.
    let source = include_str!("../../issueops/src/policy/raw.rs");
    let raw = source.split("struct Wrong").next().unwrap();
    for line in raw.lines().filter_map(|line| line.strip_prefix("    ")) {
        let Some((name, _)) =
            line.split_once(": ").filter(|(name, _)| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        else {
            continue;
        };
        let name = if name == "networks" { "network" } else { name };
        assert!(laid.contains(&format!("{name} = ")) || laid.contains(&format!("[{name}]")), "{name} is not shown");
    }
}

#[test]
fn a_filled_form_is_a_request() {
    for wishes in others() {
        let files = lay_out(&wishes, None).unwrap();
        let policy = Policy::parse(&files[policy::FILE]).unwrap();
        let body = rendered(&form(&files, RequestKind::Set), &[(Field::Environment, "linux_large")].into());
        let Request::Set(set) = request(&body, RequestKind::Set, &policy, &Known::default()) else {
            panic!("another kind")
        };
        assert_eq!((set.environment().as_str(), set.floor(), set.maximum()), ("linux_large", 0, 3));
        assert_eq!((set.group().as_str(), set.instance_type().as_str()), ("Default", "m5.large"));
        let known = Known { environments: [("linux_large".to_owned(), BTreeSet::new())].into(), ..Known::default() };
        let body = rendered(&form(&files, RequestKind::Delete), &[(Field::Environment, "linux_large")].into());
        assert!(
            matches!(request(&body, RequestKind::Delete, &policy, &known), Request::Delete(name) if name.as_str() == "linux_large")
        );
    }
}

#[test]
fn every_choice_of_a_form_is_accepted_and_every_field_is_asked_for_in_order() {
    let files = lay_out(&wishes(), Some(OWN_POLICY)).unwrap();
    let policy = Policy::parse(OWN_POLICY).unwrap();
    let elements = form(&files, RequestKind::Set);
    let titles: Vec<&str> = elements.iter().map(|element| element.label.as_str()).collect();
    assert_eq!(titles, Field::ALL.map(Field::title));
    assert_eq!(form(&files, RequestKind::Delete).len(), RequestKind::Delete.fields().len());
    let mut choices = 0;
    for element in &elements {
        for option in &element.options {
            let field = Field::named(&element.label).unwrap();
            let mut answers: BTreeMap<Field, &str> =
                [(Field::Environment, "a"), (Field::Organization, "acme"), (Field::Labels, "gpu, team-x")].into();
            answers.insert(field, option);
            request(&rendered(&elements, &answers), RequestKind::Set, &policy, &Known::default());
            choices += 1;
        }
    }
    // Two of each: organisations, groups, types, owners, regions.
    assert_eq!(choices, 10);
    // A wrong organisation must not be taken by not looking.
    assert_eq!(elements[1].default, None);
}

#[test]
fn a_form_asks_for_nothing_that_cannot_be_answered() {
    let titles = |policy: &str| -> Vec<(String, String)> {
        let files = lay_out(&wishes(), Some(policy)).unwrap();
        form(&files, RequestKind::Set).into_iter().map(|element| (element.label, element.kind)).collect()
    };
    let none =
        OWN_POLICY.replace("labels = [\"gpu\", \"large\"]", "labels = []").replace("label_prefixes = [\"team-\"]", "");
    assert!(!titles(&none).iter().any(|(label, _)| label == "Extra labels"));
    // GitHub adds a choice of this name itself, and refuses a form that has it.
    let kind = |policy: &str| titles(policy).into_iter().find(|(label, _)| label == "Runner group").unwrap().1;
    assert_eq!(kind(OWN_POLICY), "dropdown");
    assert_eq!(kind(&OWN_POLICY.replace("\"Build Farm\"", "\"none\"")), "input");
    assert_eq!(kind(&OWN_POLICY.replace("\"Build Farm\"", "\"*\"")), "input");
    assert_eq!(kind(&OWN_POLICY.replace("Build Farm", "a \\\"b\\\" # ${{ x }}")), "dropdown");
}

#[test]
fn nothing_is_left_unfilled() {
    for wishes in others() {
        for (path, text) in lay_out(&wishes, None).unwrap() {
            assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{path}");
            assert!(!text.lines().any(|line| line.ends_with([' ', '\t'])), "{path} has blanks at an end\n{text}");
            let parts: Vec<&str> = text.split('@').collect();
            let is_place = |part: &&&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_uppercase() || c == '_');
            let inner = parts.len().saturating_sub(1);
            let left: Vec<&&str> = parts[..inner].iter().skip(1).filter(is_place).collect();
            assert!(left.is_empty(), "{path}: {left:?}");
        }
    }
}

#[test]
fn the_workflow_has_every_action_by_its_commit_and_no_expression_in_a_script() {
    for wishes in others() {
        let workflow = &lay_out(&wishes, None).unwrap()[WORKFLOW_FILE];
        let used: Vec<&str> = workflow.lines().filter_map(|line| line.trim().strip_prefix("uses: ")).collect();
        assert_eq!(used.len(), 4);
        for one in &used {
            assert!(PINS.iter().any(|(action, version)| *one == format!("{action} # {version}")), "{one}");
        }
        for (action, _) in PINS {
            let commit = action.split_once('@').unwrap().1;
            assert!(commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()), "{action}");
        }
        let mut script_indent = None;
        for line in workflow.lines() {
            let indent = line.len() - line.trim_start().len();
            if script_indent.is_some_and(|of| indent <= of && !line.trim().is_empty()) {
                script_indent = None;
            }
            assert!(script_indent.is_none() || !line.contains("${{"), "{line}");
            if line.trim_start().trim_start_matches("- ").starts_with("run:") {
                assert!(!line.contains("${{"), "{line}");
                script_indent = Some(indent);
            }
        }
        assert_eq!(workflow.contains("AWS_SECRET_ACCESS_KEY"), wishes.plan_role_arn.is_none());
        assert_eq!(workflow.contains("role-to-assume"), wishes.plan_role_arn.is_some());
    }
}

#[test]
fn everything_that_is_missing_or_wrong_is_listed_at_once() {
    let Err(Cannot::Missing(missing)) = lay_out(&Wishes::default(), None) else { panic!("laid out") };
    assert_eq!(missing.len(), 8, "{missing:?}");
    let bad = Wishes {
        repository: Some("runners".to_owned()),
        vpc: Some("vpc-${x}".to_owned()),
        bucket: Some("A".to_owned()),
        plan_role_arn: Some("arn:aws:iam::123456789012:role/plan".to_owned()),
        ..wishes()
    };
    let Err(Cannot::Values(wrong)) = lay_out(&bad, None) else { panic!("laid out") };
    assert_eq!(wrong.len(), 4, "{wrong:?}");
    assert!(matches!(lay_out(&wishes(), Some("version = 9")), Err(Cannot::Policy(_))));
}

#[test]
fn the_lock_is_the_one_of_the_policy_in_force() {
    let text = |text: &str| Some(text.to_owned());
    let with_table = Wishes { lock_table: text("locks"), ..wishes() };
    // Wished for, and then taken out of the policy; not wished for, and then written into it.
    let without = policy_file(&with_table).replace("dynamodb_table = \"locks\"\n", "");
    let with = policy_file(&wishes()).replace("[backend]\n", "[backend]\ndynamodb_table = \"own-locks\"\n");
    for (wishes, policy, table, backend) in [
        (&with_table, None, "\"locks\"", "dynamodb_table = \"locks\""),
        (&with_table, Some(without.as_str()), "null", "use_lockfile = true"),
        (&wishes(), None, "null", "use_lockfile = true"),
        (&wishes(), Some(with.as_str()), "\"own-locks\"", "dynamodb_table = \"own-locks\""),
    ] {
        let files = lay_out(wishes, policy).unwrap();
        let main = &files["bootstrap/main.tf"];
        assert!(main.contains(&format!("  lock_table = {table}\n")), "{main}");
        let example = &files["bootstrap/backend.tf.example"];
        let lines: Vec<String> =
            example.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert!(lines.iter().any(|line| line == backend), "{example}");
        let others = ["dynamodb_table", "use_lockfile"].iter().filter(|name| example.contains(**name)).count();
        assert_eq!(others, 1, "{example}");
    }
}

/// A later line takes owners away again, so what is not named here has one: also a module and zips that lie in the repository.
#[test]
fn everything_has_an_owner_but_what_requests_render() {
    for wishes in others() {
        let files = lay_out(&wishes, None).unwrap();
        let Some(owners) = files.get(".github/CODEOWNERS") else {
            assert_eq!(wishes.platform_team, None);
            continue;
        };
        let rules: Vec<Vec<&str>> = owners
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| line.split_whitespace().collect())
            .collect();
        let unowned: [&[&str]; 2] = [&["/actions-runner-envs/"], &["/actions-runner-envs-archive/"]];
        assert_eq!(rules[0], ["*", "@acme/platform"]);
        assert_eq!(rules[1..], unowned);
    }
}

#[test]
fn the_roles_fit_the_policy() {
    let own = wishes();
    let files = lay_out(&own, None).unwrap();
    let main = &files["bootstrap/main.tf"];
    assert!(main.contains("own_stacks       = true") && main.contains("\"/runnersmith/*\""), "{main}");
    let policy = policy_file(&own).replace("[backend]\n", "[backend]\nkey_prefix = \"teams/runners\"\n");
    let main = lay_out(&own, Some(&policy)).unwrap().remove("bootstrap/main.tf").unwrap();
    assert!(main.contains("key_prefix       = \"teams/runners\""), "{main}");
    for shared in others().into_iter().filter(|wishes| wishes.plane_path.is_some()) {
        let main = lay_out(&shared, None).unwrap().remove("bootstrap/main.tf").unwrap();
        let path = shared.plane_path.as_deref().unwrap();
        assert!(main.contains("own_stacks       = false") && main.contains(&format!("[\"{path}\"]")), "{main}");
    }
}
