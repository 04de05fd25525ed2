//! The field's words: where each is to be found, and which words of our own are not used any more.

use std::collections::BTreeMap;

use crate::tree::{File, files, none};

/// Who knows the field searches for these words: each is found in the file (or below the folder) where it is done.
const TERMS: &[(&str, &str)] = &[
    ("retry", "crates/controllers/src/pass.rs"),
    ("backoff", "crates/plan/src/breaker.rs"),
    ("dead-letter queue", "crates/ports/src/queue.rs"),
    ("idempotency token", "crates/ports/src/machines.rs"),
    ("reconcile", "crates/issueops-engine/src/reconciler.rs"),
    ("lease", "crates/ports/src/ledger.rs"),
    ("graceful shutdown", "crates/runnersmith/src/serve.rs"),
    ("rate limit", "crates/ports/src/github.rs"),
    ("webhook signature", "crates/webhook/src"),
    ("spot interruption", "crates/plan/src/interruption.rs"),
    ("drain", "crates/plan/src/draining.rs"),
    ("drift", "crates/issueops-engine/src/drift.rs"),
];

/// Words of our own, what to write, and how many lines have one today. Zero is a ban. The figures only fall:
/// most of what is left are names of tests, names of locals, and texts that a test or a user of today compares.
const BANNED: &[(&str, &str, usize)] = &[
    ("shelf", "record store", 8),
    ("shelved", "stored", 3),
    ("desk", "ChangeReconciler", 0),
    ("purse", "ExecutionContext", 0),
    ("teller", "notifier", 0),
    ("strike", "pool failure", 4),
    ("strikes", "pool failures", 4),
    ("rung", "capacity pool", 0),
    ("rungs", "capacity pools", 0),
    ("ladder", "fallback order", 0),
    ("for ever", "forever", 0),
    ("anew", "again", 0),
    ("in other clothes", "in another form", 1),
    ("stand-in", "fake runner", 0),
    ("stand-ins", "fakes", 0),
    ("referee", "conformance check", 0),
    ("idle floor", "minimum of idle runners, min_idle", 0),
    ("cloud fleet", "provisioner", 0),
    ("the seed", "philips-labs/github-runner", 5),
    ("the seed's", "philips-labs/github-runner's", 0),
    ("tombstone", "reclaimed mark", 0),
    ("bury", "reclaim; move to the dead-letter queue", 0),
    ("buried", "dead-lettered", 0),
    ("door", "webhook, receiver", 0),
    ("mend", "fix", 1),
    ("mends", "fixes", 0),
    ("mended", "fixed", 0),
    ("whoever", "anyone who", 2),
    ("stranger", "untracked machine", 0),
    ("strangers", "untracked machines", 0),
    ("settle", "confirm, complete, drain", 11),
    ("voice", "machine status", 14),
    ("is none", "is invalid", 10),
    ("told", "notified; reported", 3),
    ("tell", "notify; report", 17),
    ("judge", "check", 0),
    ("judges", "checks", 1),
    ("plane", "control plane", 168),
    ("verdict", "notification; result", 2),
    ("heard", "received", 1),
    ("telling", "notifying", 1),
    ("runnersmith-door", "runnersmith-webhook", 0),
    ("runnersmith-changes", "runnersmith-issueops-engine", 0),
    ("runnersmith-embedded", "runnersmith-provision-embedded", 0),
    ("runnersmith-cloud", "runnersmith-aws, runnersmith-provision-terraform", 0),
    ("runnersmith-layout", "runnersmith-control-repo", 0),
    ("runnersmith-lambda-webhook", "runnersmith-lambda", 0),
    ("runnersmith-lambda-runners", "runnersmith-lambda", 0),
    ("runnersmith-lambda-syncer", "runnersmith-lambda", 0),
];

/// Names on disk and on the wire, which keep the old word, because what was stored or sent must still be read: file, phrase (a
/// `*` ends a beginning), and why. Nothing else belongs here.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("CHANGELOG.md", "*", "its Upgrade table names what was"),
    ("crates/sqlite/src/open.rs", "shelf", "the name of a table in users' files"),
    ("crates/sqlite/src/record_store.rs", "shelf", "the same table"),
    ("crates/sqlite/tests/durability.rs", "shelf", "the same table"),
    ("crates/sqlite/src/open.rs", "strikes", "the name of a table in users' files"),
    ("crates/sqlite/src/ledger/budgets.rs", "strikes", "the same table"),
    ("crates/sqlite/src/ledger/history.rs", "strikes", "the same table"),
    ("crates/aws/src/dynamodb/budgets.rs", "strike", "the key and the kind of items in users' tables"),
    ("crates/types/src/snapshot.rs", "rung", "serde(rename): a field of stored records"),
    ("crates/types/src/failure.rs", "rung", "serde(rename): a field of stored records"),
    ("crates/types/src/batch.rs", "rung", "serde(rename): a field of stored records"),
    ("crates/types/src/runner.rs", "rung", "serde(rename): a field of stored records"),
    ("crates/types/src/runner_update.rs", "rung", "serde(rename): a field of stored records"),
    ("crates/local/src/dir.rs", "rung", "serde(rename): a field of a machine's stored record"),
    ("crates/ec2/src/tags.rs", "rung", "a tag on users' instances"),
    ("crates/ec2/src/tags.rs", "voice", "a tag on users' instances"),
    ("crates/ec2/user-data/README.md", "voice", "a tag on users' instances"),
    ("crates/ec2/user-data/user-data.sh.tftpl", "voice", "a tag on users' instances"),
    ("terraform/main.tf", "tell", "a key of users' configuration files and policies"),
    ("terraform/tests/inputs.tftest.hcl", "tell", "the same key"),
    ("crates/migrate/src/tables.rs", "plane", "outputs that users' configurations name"),
];

/// A line as words: parts of identifiers apart, in lower case, hyphens as underscores.
fn words(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + 8);
    let mut before = ' ';
    for c in line.chars() {
        if c.is_uppercase() && before.is_lowercase() {
            out.push('_');
        }
        out.extend(if c == '-' { '_' } else { c }.to_lowercase());
        before = c;
    }
    out
}

/// How often a line of [`words`] has the phrase as whole words. A space stands for a space, a hyphen or an underscore.
fn has(line: &str, phrase: &str) -> bool {
    let phrase = phrase.replace('-', "_");
    let is_at = |line: &str, phrase: &str| {
        line.match_indices(phrase).any(|(at, found)| {
            let is_letter = |c: char| c.is_alphanumeric();
            !line[..at].chars().next_back().is_some_and(is_letter)
                && !line[at + found.len()..].chars().next().is_some_and(is_letter)
        })
    };
    is_at(line, &phrase) || (phrase.contains(' ') && is_at(line, &phrase.replace(' ', "_")))
}

fn is_read_by_people(file: &File) -> bool {
    const KINDS: &[&str] =
        &[".rs", ".md", ".toml", ".tf", ".tftpl", ".hcl", ".yml", ".yaml", ".py", ".sh", ".html", ".js", ".css"];
    // This table itself, and words that others chose.
    !file.path.starts_with("xtask/tests/tidy/") && file.is(KINDS)
}

#[test]
fn the_fields_words_are_found_where_they_are_done() {
    let mut wrong = Vec::new();
    for (term, place) in TERMS {
        let is_found = files()
            .iter()
            .filter(|file| file.path == *place || file.path.starts_with(&format!("{place}/")))
            .any(|file| words(&file.text).replace('_', " ").contains(&term.replace('-', " ")));
        if !is_found {
            wrong.push(format!("{place}:1: \"{term}\" is not found here: say it in the module docs, or correct TERMS"));
        }
    }
    none(&wrong);
}

#[test]
fn words_of_our_own_are_not_used_and_those_that_are_left_only_get_fewer() {
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut used = vec![false; EXCEPTIONS.len()];
    for file in files().iter().filter(|file| is_read_by_people(file)) {
        for (number, line) in file.lines() {
            // A method of `Option` is not our word.
            let line = words(line).replace("is_none(", "").replace("is_none_or(", "").replace("is_none\"", "");
            for (phrase, instead, _) in BANNED.iter().filter(|(phrase, _, _)| has(&line, phrase)) {
                if *phrase == "plane"
                    && !line.replace("control plane", "").replace("control_plane", "").contains("plane")
                {
                    continue;
                }
                if let Some(at) = EXCEPTIONS.iter().position(|(place, word, _)| {
                    *place == file.path
                        && word.strip_suffix('*').map_or(word == phrase, |begin| phrase.starts_with(begin))
                }) {
                    used[at] = true;
                    continue;
                }
                found.entry(phrase).or_default().push(format!("{}:{number}: {phrase}: write {instead}", file.path));
            }
        }
    }
    let mut wrong = Vec::new();
    for (phrase, _, most) in BANNED {
        let places = found.remove(phrase).unwrap_or_default();
        if places.len() > *most {
            wrong.push(format!("\"{phrase}\" is on {} lines, {most} are allowed; the figure only falls", places.len()));
            wrong.extend(places);
        } else if places.len() < *most {
            println!("\"{phrase}\" is on {} lines only: lower the figure {most} in BANNED", places.len());
        }
    }
    for ((place, phrase, _), _) in EXCEPTIONS.iter().zip(used).filter(|(_, used)| !used) {
        println!("{place} has no \"{phrase}\" any more: take the exception out");
    }
    none(&wrong);
}
