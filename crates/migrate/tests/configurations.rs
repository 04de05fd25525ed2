//! Configurations in the shapes that people publish, of versions 0.10 to 7.11: what is said of each, and that what is written by that
//! advice follows it to the letter. `xtask/tests/migrated.rs` plans what was written.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use runnersmith_migrate::{InputChange, MigrationFinding, check};
use serde_json::Value;

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configurations");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    cases.sort();
    cases
}

/// A file of a case in either syntax, with its name.
fn file(case: &Path, name: &str) -> (String, String) {
    let names = [format!("{name}.tf"), format!("{name}.tf.json")];
    let found = names.into_iter().find(|name| case.join(name).exists()).unwrap();
    let text = std::fs::read_to_string(case.join(&found)).unwrap();
    (found, text)
}

/// The module block's arguments; expressions as Terraform writes them.
fn arguments((file, text): &(String, String)) -> BTreeMap<String, Value> {
    let value: Value = if file.ends_with(".json") {
        serde_json::from_str(text).unwrap()
    } else {
        let body: hcl::Body = hcl::parse(text).unwrap();
        let body: Vec<_> = body.into_blocks().filter(|block| block.identifier() == "module").collect();
        serde_json::to_value(hcl::from_body::<hcl::Value>(hcl::Body::from_iter(body)).unwrap()).unwrap()
    };
    let modules = value["module"].as_object().unwrap();
    assert_eq!(modules.len(), 1, "{file} has one module block");
    let block = modules.values().next().unwrap().as_object().unwrap();
    block.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// `scale_sets["name"].field` as its two words.
fn entry(what: &str) -> Option<(&str, &str)> {
    what.split_once("[\"")?.1.split_once("\"].")
}

/// Whether what was written follows one piece of advice.
fn follows(finding: &MigrationFinding, before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> bool {
    let what = finding.what.as_str();
    let (old, new) = match entry(what) {
        None => (before.get(what), after.get(what)),
        Some((set, field)) => {
            let old = before.get("multi_runner_config").map(|sets| &sets[set]["runner_config"][field]);
            let new = after["scale_sets"].get(set).and_then(|set| set.get(field));
            // A kind that is not supported stays where it is.
            let stays_there = after["scale_sets"].get(set).is_none();
            if stays_there {
                return true;
            }
            (old, new)
        }
    };
    match finding.change {
        InputChange::Missing => new.is_some(),
        // What is said may name the same field, as it has another meaning in an entry.
        InputChange::Renamed if what.starts_with("multi_runner_config[") => new.is_none() || new != old,
        InputChange::Unsupported | InputChange::Unknown | InputChange::Renamed | InputChange::NotNeeded => {
            new.is_none()
        }
        InputChange::Rewritten => new != old,
        InputChange::Kept => old == new || old.is_none_or(Value::is_null),
        InputChange::Differs | InputChange::Output => true,
    }
}

/// Whether what a piece of advice writes out (`name = value`) was written; of an object, each of its values.
fn stands_there(finding: &MigrationFinding, after: &BTreeMap<String, Value>) -> bool {
    let text = finding.note.split(['(', ';']).next().unwrap();
    // A reason follows a colon.
    let text = text.split(": ").next().unwrap();
    let is_of_advice = matches!(finding.change, InputChange::Renamed | InputChange::Rewritten);
    let Some(advised) = hcl::from_str::<Value>(text).ok().filter(|_| is_of_advice && text.contains(" = ")) else {
        return true;
    };
    let place = match entry(&finding.what) {
        None => serde_json::to_value(after).unwrap(),
        Some((set, _)) => after["scale_sets"][set].clone(),
    };
    advised.as_object().unwrap().iter().all(|(name, value)| match (value.as_object(), place[name].as_object()) {
        (Some(advised), Some(written)) => advised.iter().all(|(key, value)| written.get(key) == Some(value)),
        _ => &place[name] == value,
    })
}

#[test]
fn what_is_said_of_forty_configurations_is_what_is_expected_and_followed_to_the_letter() {
    let cases = cases();
    assert!(cases.len() >= 40, "{}", cases.len());
    for case in cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let (before, after) = (file(&case, "before"), file(&case, "after"));
        let report = check(&BTreeMap::from([before.clone()]));
        assert_eq!((report.blocks.len(), report.unreadable.len()), (1, 0), "{name}");
        insta::with_settings!({ snapshot_path => &case, prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!("said", report);
        });
        let (given, written) = (arguments(&before), arguments(&after));
        for finding in &report.blocks[0].findings {
            assert!(follows(finding, &given, &written), "{name}: {finding:?} is not followed");
            assert!(stands_there(finding, &written), "{name}: {finding:?} is not written so");
            if finding.change == InputChange::Output {
                assert!(!after.1.contains(&format!("{}\n", finding.what)), "{name}: {finding:?}");
            }
        }
        let rest = check(&BTreeMap::from([after]));
        assert!(rest.blocks.is_empty() && rest.unreadable.is_empty(), "{name}: {rest}");
    }
}
