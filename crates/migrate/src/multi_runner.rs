//! Several kinds of runners: an entry of `multi_runner_config` becomes one of `scale_sets`.

use std::collections::BTreeMap;

use crate::finding::InputChange::{self, Differs, Kept, NotNeeded, Renamed, Unsupported};
use crate::finding::MigrationFinding;
use crate::literal::Literal;
use crate::{advice, tables};

/// What every scale set's runners have beside their architecture's label, unless it is said otherwise.
const DEFAULT_LABELS: [&str; 2] = ["self-hosted", "linux"];
/// The priority that they have there when nothing is said; there the lowest number comes first, here the highest.
const PRIORITY: f64 = 999.0;

/// What becomes of `multi_runner_config`, entry by entry.
pub(crate) fn entries(value: &Literal, locals: &BTreeMap<String, Literal>) -> Vec<MigrationFinding> {
    let finding = |change, what: &str, note: String| MigrationFinding { change, what: what.to_owned(), note };
    let Literal::Object(entries) = resolved(value, locals) else {
        let note = "scale_sets, an entry for each: what is in runner_config directly in it, and as labels those of \
                    matcherConfig.labelMatchers; the value is computed, so that its entries could not be read";
        return vec![finding(Renamed, "multi_runner_config", note.to_owned())];
    };
    let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
    let mut found = vec![finding(
        Renamed,
        "multi_runner_config",
        format!("scale_sets, with entries {:?}; what is in runner_config stands directly in an entry", names),
    )];
    for (name, entry) in entries {
        let entry = resolved(entry, locals);
        let old = |what: &str| format!("multi_runner_config[\"{name}\"].{what}");
        let new = |what: &str| format!("scale_sets[\"{name}\"].{what}");
        let (Some(config), Some(matcher)) = (entry.get("runner_config"), entry.get("matcherConfig")) else {
            let note = "its runner_config or matcherConfig is computed, and could not be read".to_owned();
            found.push(finding(Renamed, &format!("multi_runner_config[\"{name}\"]"), note));
            continue;
        };
        let (config, matcher) = (resolved(config, locals), resolved(matcher, locals));
        if let Some(Literal::Text(system)) = config.get("runner_os")
            && system != "linux"
        {
            let note = "only Linux is supported; Windows and macOS are not: leave the entry with the old module";
            found.push(finding(Unsupported, &format!("multi_runner_config[\"{name}\"]"), note.to_owned()));
            continue;
        }
        found.extend(labels(config, matcher).map(|note| finding(Renamed, &old("matcherConfig.labelMatchers"), note)));
        found.extend(matching(matcher).map(|(change, what, note)| finding(change, &old(what), note)));
        let Literal::Object(fields) = config else { continue };
        for (field, value) in fields {
            if field == "runner_extra_labels" {
                // They are among the entry's labels.
                continue;
            }
            let (change, note) = of_field(field, resolved(value, locals));
            let stays = [Kept, Differs, InputChange::Rewritten].contains(&change);
            found.push(finding(change, &if stays { new(field) } else { old(field) }, note));
        }
        let says = |field: &str| fields.iter().any(|(name, _)| name == field);
        if !says("enable_organization_runners") {
            let note = "is false there unless it is given: write it where the module's own says true".to_owned();
            found.push(finding(Differs, &new("enable_organization_runners"), note));
        }
        if !says("enable_ephemeral_runners") {
            let note = "not given: a runner serves one job here; ephemeral = false keeps runners until they are idle";
            found.push(finding(Differs, &new("ephemeral"), note.to_owned()));
        }
    }
    found
}

fn resolved<'a>(value: &'a Literal, locals: &'a BTreeMap<String, Literal>) -> &'a Literal {
    match value {
        Literal::Local(name) => locals.get(name).unwrap_or(value),
        _ => value,
    }
}

/// The labels of an entry: all that its matchers and its runners name.
fn labels(config: &Literal, matcher: &Literal) -> Option<String> {
    let texts = |value: &Literal| -> Option<Vec<String>> {
        let Literal::List(list) = value else { return None };
        list.iter()
            .map(|one| match one {
                Literal::Text(text) => Some(text.clone()),
                _ => None,
            })
            .collect()
    };
    let bare = matches!(config.get("runner_disable_default_labels"), Some(Literal::Bool(true)));
    let architecture = match config.get("runner_architecture") {
        Some(Literal::Text(architecture)) => architecture.as_str(),
        _ => "x64",
    };
    let matchers = match matcher.get("labelMatchers")? {
        Literal::List(lists) => lists.iter().map(texts).collect::<Option<Vec<_>>>(),
        _ => None,
    };
    let extra = match config.get("runner_extra_labels") {
        None => Some(Vec::new()),
        // Before version 4.8 it was a string.
        Some(Literal::Text(text)) => Some(text.split(',').map(|label| label.trim().to_owned()).collect()),
        Some(value) => texts(value),
    };
    let (Some(matchers), Some(extra)) = (matchers, extra) else {
        return Some("labels of the entry, together with runner_extra_labels".to_owned());
    };
    let mut all: Vec<String> = Vec::new();
    for label in matchers.into_iter().flatten().chain(extra) {
        let is_default = !bare
            && (DEFAULT_LABELS.contains(&label.to_lowercase().as_str()) || label.eq_ignore_ascii_case(architecture));
        if !label.is_empty() && !is_default && !all.iter().any(|known| known.eq_ignore_ascii_case(&label)) {
            all.push(label);
        }
    }
    let all = Literal::List(all.into_iter().map(Literal::Text).collect()).written()?;
    let there = if bare { String::new() } else { format!(" (self-hosted, linux and {architecture} are there)") };
    Some(format!("labels = {all}{there}"))
}

/// The rest of how an entry chooses its jobs.
fn matching(matcher: &Literal) -> impl Iterator<Item = (InputChange, &'static str, String)> {
    let mut found = Vec::new();
    if matcher.get("exactMatch").is_some() {
        found.push((
            NotNeeded,
            "matcherConfig.exactMatch",
            "a job goes to a set that has each of its labels".to_owned(),
        ));
    }
    if matcher.get("bidirectionalLabelMatch").is_some_and(|value| !value.is_nothing()) {
        let note = "a runner with more labels than a job asks for may get the job, as GitHub does it";
        found.push((Unsupported, "matcherConfig.bidirectionalLabelMatch", note.to_owned()));
    }
    if ["enableDynamicLabels", "awsDynamicLabelsPolicy", "ec2DynamicLabelsPolicy"]
        .iter()
        .any(|field| matcher.get(field).is_some_and(|value| !value.is_nothing()))
    {
        let note = "a job's labels choose a scale set, not a machine: one set for each kind of machine";
        found.push((Unsupported, "matcherConfig.enableDynamicLabels", note.to_owned()));
    }
    match matcher.get("priority") {
        None => {}
        Some(Literal::Number(priority)) => {
            let note = format!("priority = {}: here the highest comes first", (PRIORITY - priority).max(0.0));
            found.push((Renamed, "matcherConfig.priority", note));
        }
        Some(_) => {
            found.push((Renamed, "matcherConfig.priority", "priority, of which the highest comes first".to_owned()))
        }
    }
    found.into_iter()
}

/// What becomes of a field of an entry's `runner_config`.
fn of_field(field: &str, value: &Literal) -> advice::Advice {
    if let Some(inside) = advice::capacity(field, value) {
        return match inside.is_empty() {
            true => (NotNeeded, "that is the default here".to_owned()),
            false => (Renamed, inside),
        };
    }
    let name = tables::ENTRY_ALIASES.iter().find(|(alias, _)| *alias == field).map_or(field, |(_, name)| *name);
    let (change, note) = advice::argument(name, value);
    let is_of_all = tables::INPUTS.iter().any(|input| input.name == name) && !tables::ENTRY.contains(&name);
    if is_of_all {
        return (Renamed, format!("{name} of the module, one for all"));
    }
    (change, note)
}
