//! What must hold whatever comes in. Property tests, the checked-in corpus and the fuzz targets of `fuzz/` share these
//! functions: each takes any bytes, and panics when something that is promised does not hold.

#![allow(dead_code, reason = "each user uses its part")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use runnersmith_issueops::change::{Change, ChangeKind, Digest, DigestInput, PlanRecord, Reply, State};
use runnersmith_issueops::command::{self, COMMANDS_MAX, COMMENT_BYTES_MAX, CommentCommand, CommentLine, Consent};
use runnersmith_issueops::comment::{
    CHARS_MAX, Layout, Marker, PlanView, code, drift_issue, fence, invalid, length, reply, state_comment,
};
use runnersmith_issueops::policy::{EnvironmentShape, Policy};
use runnersmith_issueops::render::{RenderedFiles, VALUES_FILE, archive, render, state_key};
use runnersmith_issueops::request::{
    BODY_BYTES_MAX, EnvironmentName, Field, Known, Refused, Request, RequestKind, RequestProblem, SetRequest,
    is_common_label, parse, validate,
};
use runnersmith_issueops::summary::{Effect, EnvironmentFleet, FleetChange, GroupAccess, Summary, cost};
use serde_json::{Value, json};

const POLICY: &str = include_str!("policy.toml");
/// A request that nobody would look at twice.
const HARMLESS: &str = r#"{"environment": "harmless", "organization": "acme", "minRunners": "1"}"#;

/// The policies of both shapes. Any group may be asked for, so that hostile groups get through to what is rendered.
static POLICIES: LazyLock<[Policy; 2]> = LazyLock::new(|| {
    let text = POLICY.replace("groups = [", "groups = [\"*\", ");
    let shared =
        text.replace("version = 1", "version = 1\nshape = \"shared-plane\"\nplane_path = \"/runnersmith/plane\"");
    [text, shared].map(|text| Policy::parse(&text).unwrap())
});

fn known() -> Known {
    Known {
        environments: [("Builds".to_owned(), ["Builds".to_owned(), "team-red".to_owned()].into())].into(),
        organizations: [("Builds".to_owned(), "acme".to_owned())].into(),
        open_changes: [("busy".to_owned(), 7)].into(),
        issue: 9,
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// The body of an issue: it is refused with words that fit and do nothing, or rendered so that no value leaves its file.
/// Returns how many folders were rendered.
pub fn request(data: &[u8]) -> usize {
    let body = String::from_utf8_lossy(data);
    let mut rendered = 0;
    for kind in RequestKind::ALL {
        let given = match parse(&body, kind) {
            Ok(given) => given,
            Err(Refused(problems)) => {
                refused(&problems, kind);
                assert!(body.len() <= BODY_BYTES_MAX || problems.len() == 1, "a large body is not looked into");
                continue;
            }
        };
        assert!(body.len() <= BODY_BYTES_MAX);
        for (field, value) in &given {
            assert!(kind.fields().contains(field) && !value.is_empty());
            assert!(*field == Field::Reason || value.chars().count() <= 1000);
        }
        for (shape, policy) in POLICIES.iter().enumerate() {
            for known in [Known::default(), known()] {
                match validate(&given, kind, policy, &known) {
                    Err(Refused(problems)) => refused(&problems, kind),
                    Ok(Request::Delete(name)) => {
                        assert!(kind == RequestKind::Delete && known.environments.contains_key(name.as_str()));
                    }
                    Ok(Request::Set(set)) => {
                        assert_eq!(kind, RequestKind::Set);
                        checked(&set, policy, &known);
                        folder(&set, shape);
                        rendered += 1;
                    }
                }
            }
        }
    }
    rendered
}

fn refused(problems: &[RequestProblem], kind: RequestKind) {
    assert!(!problems.is_empty());
    let said = invalid(problems, kind);
    posted(&said);
    assert_eq!(Marker::of(&said), Some(Marker::Invalid));
}

/// What we post fits, and orders nothing when it is read as a comment.
fn posted(text: &str) {
    assert!(length(text) < CHARS_MAX, "{} characters", length(text));
    assert_eq!(command::parse(text), [], "{text}");
    assert!(!text.contains(['\u{202e}', '\u{0}', '\u{1b}', '\r']), "nothing that cannot be seen");
}

/// Typed values are within the policy.
fn checked(set: &SetRequest, policy: &Policy, known: &Known) {
    let (name, rules) = (set.environment().as_str(), &policy.runners);
    assert!(name.len() <= 32 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{name:?}");
    assert!(!name.to_lowercase().contains("aws") && !name.eq_ignore_ascii_case("busy"));
    assert!(set.is_edit() == known.environments.contains_key(name));
    assert!(set.is_edit() || !known.environments.keys().any(|other| other.eq_ignore_ascii_case(name)));
    assert!(set.floor() <= set.maximum() && (1..=rules.maximum).contains(&set.maximum()));
    assert!(set.floor() <= rules.floor_maximum);
    assert!(policy.organizations.contains(set.organization()) && policy.networks.contains(set.network()));
    assert!(rules.instance_types.contains(set.instance_type()) && rules.ami_owners.contains(&set.ami().owner));
    let mut seen = BTreeSet::new();
    for label in set.labels().iter().map(|label| label.as_str()) {
        assert!(is_word(label) && seen.insert(label.to_lowercase()), "{label:?}");
        let is_own = label == name;
        let listed = rules.labels.iter().any(|one| one.as_str().eq_ignore_ascii_case(label))
            || rules.label_prefixes.iter().any(|one| label.to_lowercase().starts_with(&one.as_str().to_lowercase()));
        assert!(is_own || listed || is_common_label(policy, label), "{label}");
        assert!(set.is_edit() || !label.eq_ignore_ascii_case("team-red") || known.environments.is_empty(), "captured");
    }
    assert!(set.labels().iter().any(|label| label.as_str() == name));
}

/// The harmless request's folder in each shape. Its HCL is read here, once: what is byte-equal to it is no other HCL.
static PLAIN: LazyLock<[(SetRequest, RenderedFiles); 2]> = LazyLock::new(|| {
    [0, 1].map(|shape| {
        let policy = &POLICIES[shape];
        let given = parse(HARMLESS, RequestKind::Set).unwrap();
        let Ok(Request::Set(set)) = validate(&given, RequestKind::Set, policy, &Known::default()) else {
            panic!("refused")
        };
        let files = render(&set, policy).unwrap();
        for content in files.iter().filter(|(path, _)| path.ends_with(".tf")).map(|(_, content)| content) {
            hcl::parse(content).unwrap();
        }
        (*set, files)
    })
});

/// Files by their name in the folder.
fn names<'a>(files: &'a RenderedFiles, folder: &str) -> BTreeMap<&'a str, &'a str> {
    let name = |path: &'a str| path.strip_prefix(folder).unwrap().strip_prefix('/').unwrap();
    files.iter().map(|(path, content)| (name(path), content.as_str())).collect()
}

/// The folder of a request differs from a harmless one's by typed values in one file, and by words in three.
fn folder(set: &SetRequest, shape: usize) {
    let (policy, (plain, plain_files)) = (&POLICIES[shape], &PLAIN[shape]);
    let files = render(set, policy).unwrap();
    assert_eq!(files, render(set, policy).unwrap());
    let files_by_name = names(&files, &policy.environment_folder(set.environment()));
    let plain_by_name = names(plain_files, &policy.environment_folder(plain.environment()));
    assert_eq!(files_by_name.keys().collect::<Vec<_>>(), plain_by_name.keys().collect::<Vec<_>>());
    for (name, content) in &files_by_name {
        let other = plain_by_name[name];
        match *name {
            VALUES_FILE => assert_eq!(serde_json::from_str::<Value>(content).unwrap(), values(set, policy)),
            "backend.tf.json" => backend(content, other, set.environment(), policy),
            "README.md" => assert_eq!(without_words(content, set), without_words(other, plain)),
            "scaling-test.yml" => assert_eq!(without_words(content, set), without_words(other, plain)),
            fixed => {
                assert!(fixed.ends_with(".tf"), "{fixed}");
                assert_eq!(*content, other, "{fixed}");
            }
        }
    }
    let moved = archive(&files, set.environment(), policy);
    assert_eq!(moved.values().collect::<Vec<_>>(), files.values().collect::<Vec<_>>());
}

/// What the values file must be, from typed values alone.
fn values(set: &SetRequest, policy: &Policy) -> Value {
    let labels: Vec<&str> = set.labels().iter().map(|label| label.as_str()).collect();
    let mut values = json!({
        "ami_filter": set.ami().filter.as_ref().map_or_else(|| json!({}), |filter| json!({"name": [filter.as_str()]})),
        "ami_owners": [set.ami().owner.as_str()],
        "aws_region": set.network().region.as_str(),
        "enable_organization_runners": true,
        "environment": set.environment().as_str(),
        "idle_config": match set.floor() {
            0 => json!([]),
            floor => json!([{"cron": "* * * * * *", "timeZone": "UTC", "idleCount": floor}]),
        },
        "instance_type": set.instance_type().as_str(),
        "organization": set.organization().as_str(),
        "runner_extra_labels": labels.join(","),
        "runner_group_name": set.group().as_str(),
        "runners_maximum_count": set.maximum(),
        "subnet_ids": set.network().subnet_ids,
        "vpc_id": set.network().vpc_id,
    });
    match &policy.shape {
        EnvironmentShape::SharedPlane { plane_path } => values["plane_path"] = json!(plane_path),
        EnvironmentShape::OwnStack => {
            values["ghes_ca"] = json!(policy.ghes_ca);
            values["ghes_url"] = json!(policy.ghes_url);
            values["runner_binaries_syncer_lambda_zip"] = json!(policy.zips.syncer);
            values["runners_lambda_zip"] = json!(policy.zips.runners);
            values["webhook_lambda_zip"] = json!(policy.zips.webhook);
        }
    }
    values
}

/// Strings of JSON configuration are templates to Terraform: nothing in them may begin one.
fn backend(content: &str, other: &str, environment: &EnvironmentName, policy: &Policy) {
    assert!(!content.contains("${") && !content.contains("%{"), "{content}");
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let (mut own, mut other) = (read(content), read(other));
    let key = own["terraform"]["backend"]["s3"]["key"].take();
    let other_key = other["terraform"]["backend"]["s3"]["key"].take();
    assert_eq!(own, other);
    assert_eq!(key, state_key(&policy.backend, environment));
    assert_eq!(key, other_key.as_str().unwrap().replace("harmless", environment.as_str()));
    assert!(key.as_str().unwrap().split('/').all(is_word));
}

/// A text without the environment's name and the lists of labels and jobs, which must be just those.
fn without_words(text: &str, set: &SetRequest) -> String {
    let (mut lines, mut lists) = (Vec::new(), 0);
    for line in text.lines() {
        if let Some((before, list)) = line.split_once("runs-on: ") {
            let read: Vec<String> = serde_json::from_str(list).unwrap();
            let wanted = std::iter::once("self-hosted").chain(set.labels().iter().map(|label| label.as_str()));
            assert_eq!(read, wanted.collect::<Vec<_>>());
            lists += 1;
            lines.push(format!("{before}runs-on"));
        } else if let Some((before, list)) = line.split_once("job: ") {
            let read: Vec<u32> = serde_json::from_str(list).unwrap();
            assert_eq!(read, (1..=set.maximum().min(10)).collect::<Vec<_>>());
            lines.push(format!("{before}job"));
        } else {
            lines.push(line.replace(&format!("`{}`", set.environment()), "`name`"));
        }
    }
    assert_eq!(lists, 1);
    lines.join("\n")
}

/// A comment: commands are whole lines of its own, in their order, and bounded. Returns how many there are.
pub fn comment(data: &[u8]) -> usize {
    let text = String::from_utf8_lossy(data);
    let lines = command::parse(&text);
    assert!(lines.len() <= COMMANDS_MAX + 1);
    assert!(text.len() <= COMMENT_BYTES_MAX || lines.is_empty());
    let mut own = text.split('\n').filter(|line| line.starts_with('/'));
    let mut misread = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        if place == COMMANDS_MAX {
            assert!(matches!(line, CommentLine::Unknown(_)));
            continue;
        }
        let wanted = match line {
            CommentLine::Known(command) => written(command),
            CommentLine::Unknown(line) => {
                misread.push(line.clone());
                assert!(line.line.starts_with('/') && !line.line.chars().any(char::is_control));
                continue;
            }
        };
        let is_there = own.any(|line| {
            let words: Vec<&str> = line.trim_end().split(' ').filter(|word| !word.is_empty()).collect();
            match line.trim_end().strip_prefix("/lock") {
                // The reason is cut and cleaned, and is nobody's order.
                Some(_) => wanted == "/lock" && words[0] == "/lock",
                None => words.join(" ").to_ascii_lowercase() == wanted && words[0] == words[0].to_ascii_lowercase(),
            }
        });
        assert!(is_there, "{wanted} is no line of {text:?}");
    }
    // Shown by us, it orders nothing; nor does what we answer.
    for shown in [fence(&text, "text"), format!("- {}", code(&text)), quoted(&text)] {
        assert_eq!(command::parse(&shown), []);
    }
    let change = Change::new(ChangeKind::Set, "harmless", 5, "ann", 6, "runnersmith/harmless");
    posted(&reply(&Reply::Help(misread), &change, &POLICIES[0], None));
    lines.len()
}

fn quoted(text: &str) -> String {
    text.lines().map(|line| format!("> {line}\n")).collect()
}

fn written(command: &CommentCommand) -> String {
    match command {
        CommentCommand::Approve { digest, consent } => {
            let words = match consent {
                Consent::Apply => "",
                Consent::Destroy => " destroy",
                Consent::KillJobs => " destroy kill-jobs",
            };
            let digest = digest.as_ref().map(|digest| format!(" {digest}")).unwrap_or_default();
            assert!(!digest.is_empty() || *consent == Consent::Apply);
            format!("/approve{digest}{words}")
        }
        CommentCommand::Plan { files } => {
            files.as_ref().map_or_else(|| "/plan".to_owned(), |digest| format!("/plan {digest}"))
        }
        CommentCommand::Cancel => "/cancel".to_owned(),
        CommentCommand::Lock { reason } => {
            assert!(reason.chars().count() <= command::REASON_CHARS_MAX && !reason.chars().any(char::is_control));
            "/lock".to_owned()
        }
        CommentCommand::Unlock => "/unlock".to_owned(),
        CommentCommand::Status => "/status".to_owned(),
        CommentCommand::Help => "/help".to_owned(),
    }
}

/// A plan's JSON, which is its own text as well: refused, or shown in comments that fit and name all that is lost.
/// Returns how many resources would be touched.
pub fn plan_json(data: &[u8]) -> usize {
    let text = String::from_utf8_lossy(data);
    let fleet = EnvironmentFleet::of_values(&text).ok();
    let Ok(summary) = Summary::of_show_json(data) else { return 0 };
    let policy = &POLICIES[0];
    let environment = EnvironmentName::parse("harmless").unwrap();
    if let Some(issue) = drift_issue(&environment, &summary) {
        posted(&issue.body);
        assert_eq!(Marker::of(&issue.body), Some(Marker::Drift("harmless".to_owned())));
    }
    let losses = summary.changes.iter().filter(|change| change.effect.loses()).count();
    let Ok(layout) = Layout::of(&summary, &text) else {
        assert!(losses > 100, "only what loses much cannot be shown");
        return summary.changes.len();
    };
    let mut change = Change::new(ChangeKind::Set, "harmless", 5, "ann", 6, "runnersmith/harmless");
    let parts = DigestInput {
        plan_file: Digest::of(data),
        head: text.chars().take(200).collect(),
        base: Digest::of(b""),
        state_lineage: text.to_string(),
        state_serial: 1,
        lock_file: Digest::of(b""),
        terraform_version: summary.terraform_version.clone(),
        runnersmith_version: "0.1.0".to_owned(),
        continuations: layout.digests(),
    };
    let posted_at = runnersmith_types::Timestamp::from_secs(0);
    let loses_state = summary.losses().next().is_some();
    change.state =
        State::Planned(PlanRecord { parts, posted_at, loses_state, is_hand_edited: false, ordered_files: None });
    let fleet = FleetChange { before: None, after: fleet, access: GroupAccess::Unknown };
    let cost = cost(&summary, &fleet, policy);
    let url = Some("https://example.com/plan");
    let view =
        PlanView { summary: &summary, layout: &layout, fleet: &fleet, cost: &cost, differences: &[], file_url: url };
    let main = state_comment(&change, policy, Some(&view), None);
    posted(&main);
    assert_eq!(Marker::of(&main), Some(Marker::State));
    for (place, page) in layout.continuations.iter().enumerate() {
        posted(page);
        assert_eq!(Marker::of(page), Some(Marker::Continuation(place + 1)));
    }
    let list = if layout.continuations.is_empty() { main } else { layout.continuations.concat() };
    for effect in Effect::ALL.into_iter().filter(|effect| effect.loses()) {
        let sign = if effect == Effect::Destroy { "-" } else { "!" };
        let line = format!("{sign} {:9} ", effect.word());
        let named = list.lines().filter(|one| one.starts_with(&line)).count();
        let all = summary.count(effect);
        assert!(named == all || layout.continuations.is_empty() && named > all, "{named} of {all} {}", effect.word());
    }
    assert_eq!(layout.digests().len(), layout.continuations.len() + layout.file.iter().count());
    summary.changes.len()
}

/// A policy: refused, or what it says stays where it belongs in the folder of a harmless request. Returns whether it was
/// accepted.
pub fn policy(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let Ok(policy) = Policy::parse(&text) else { return false };
    for folder in [&policy.folder, &policy.archive_folder, &policy.backend.key_prefix] {
        assert!(folder.split('/').all(|part| is_word(part) && !part.starts_with('.')), "{folder}");
    }
    let body = json!({"environment": "harmless", "organization": policy.organizations[0].as_str(),
        "runnerGroup": policy.runners.groups.first().map_or("Default", |group| group.as_str())});
    let given = parse(&body.to_string(), RequestKind::Set).unwrap();
    // The name may be a label that this policy gives to all runners.
    let Ok(Request::Set(set)) = validate(&given, RequestKind::Set, &policy, &Known::default()) else { return true };
    let files = render(&set, &policy).unwrap();
    let own = names(&files, &policy.environment_folder(set.environment()));
    let shape = usize::from(policy.shape != EnvironmentShape::OwnStack);
    let plain_policy = &POLICIES[shape];
    let plain = names(&PLAIN[shape].1, &plain_policy.environment_folder(set.environment()));
    assert_eq!(own.keys().collect::<Vec<_>>(), plain.keys().collect::<Vec<_>>());
    for (name, content) in own.iter().filter(|(name, _)| name.ends_with(".tf") && **name != "main.tf") {
        assert_eq!(*content, plain[name], "{name}");
    }
    // The address is one literal, and nothing else of the file is another.
    let (mut own_main, mut plain_main) = (hcl::parse(own["main.tf"]).unwrap(), hcl::parse(plain["main.tf"]).unwrap());
    let (source, plain_source) = (module_source(&mut own_main), module_source(&mut plain_main));
    assert!(source.starts_with(policy.module_source.split('?').next().unwrap().trim_end_matches('/')), "{source}");
    assert_eq!(own_main, plain_main);
    let without = |text: &str, source: &str| text.replacen(&format!("  source = \"{source}\"\n"), "", 1);
    assert_eq!(without(own["main.tf"], &source), without(plain["main.tf"], &plain_source), "nor any byte beside it");
    assert_eq!(serde_json::from_str::<Value>(own[VALUES_FILE]).unwrap(), values(&set, &policy));
    assert!(!own["backend.tf.json"].contains("${") && !own["backend.tf.json"].contains("%{"));
    true
}

/// Takes the module's address out of a file; it must be a plain text, not a template.
fn module_source(body: &mut hcl::Body) -> String {
    for structure in body.iter_mut() {
        let hcl::Structure::Block(block) = structure else { continue };
        if block.identifier.as_str() != "module" {
            continue;
        }
        for attribute in block.body.iter_mut() {
            let hcl::Structure::Attribute(attribute) = attribute else { continue };
            if attribute.key.as_str() == "source" {
                let hcl::Expression::String(source) = &attribute.expr else { panic!("{:?}", attribute.expr) };
                let source = source.clone();
                attribute.expr = hcl::Expression::Null;
                return source;
            }
        }
    }
    panic!("no module in {body:?}")
}
