//! The issue forms. Fields, titles and their order are those that the reader of issues knows; choices are the policy's, so that
//! what a form offers is what is accepted.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use runnersmith_issueops::policy::Policy;
use runnersmith_issueops::request::{AmiPattern, EnvironmentName, Field, RequestKind};

use crate::text::quoted;

/// The most choices of a dropdown; a longer list is typed.
const CHOICES_MAX: usize = 100;

/// How a field is asked for.
enum Ask {
    /// One line.
    Line { placeholder: String, value: Option<String>, is_needed: bool },
    /// Several lines.
    Text { placeholder: String },
    /// One of these; the first is chosen beforehand if `has_default`.
    Choice { choices: Vec<String>, has_default: bool },
    /// Not at all: nothing that could be answered would be accepted.
    Not,
}

/// A dropdown where GitHub takes these choices, else a line. GitHub's own word for no choice may not be among them.
fn choice(choices: Vec<String>, has_default: bool, placeholder: &str) -> Ask {
    let distinct: BTreeSet<String> = choices.iter().map(|choice| choice.to_lowercase()).collect();
    let is_plain = distinct.len() == choices.len() && !distinct.contains("none");
    if choices.is_empty() || choices.len() > CHOICES_MAX || !is_plain {
        return Ask::Line { placeholder: placeholder.to_owned(), value: None, is_needed: !has_default };
    }
    Ask::Choice { choices, has_default }
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn ask(field: Field, policy: &Policy) -> Ask {
    let rules = &policy.runners;
    let number = |value: u32| Ask::Line { placeholder: String::new(), value: Some(value.to_string()), is_needed: true };
    match field {
        Field::Environment => Ask::Line { placeholder: "linux_large".to_owned(), value: None, is_needed: true },
        // With several, a wrong one must not be taken by not looking.
        Field::Organization => {
            let organizations = texts(&policy.organizations);
            let is_sole = organizations.len() == 1;
            let placeholder = organizations.first().cloned().unwrap_or_default();
            match choice(organizations, is_sole, &placeholder) {
                Ask::Line { placeholder, value, .. } => Ask::Line { placeholder, value, is_needed: true },
                other => other,
            }
        }
        Field::MinRunners => number(0),
        Field::MaxRunners => number(rules.maximum.min(3)),
        Field::RunnerGroup if rules.any_group => {
            Ask::Line { placeholder: String::new(), value: Some("Default".to_owned()), is_needed: true }
        }
        Field::RunnerGroup => {
            // What is asked for when nothing is said is GitHub's own group; where it is not allowed one must be chosen.
            let groups = texts(&rules.groups);
            let is_first = groups.first().is_some_and(|group| group.eq_ignore_ascii_case("Default"));
            choice(groups, is_first || rules.groups.len() == 1, "Default")
        }
        Field::AmiFilter => {
            Ask::Line { placeholder: "al2023-ami-2023.*-x86_64".to_owned(), value: None, is_needed: false }
        }
        Field::AmiOwner => choice(texts(&rules.ami_owners), true, "amazon"),
        Field::Labels if rules.labels.is_empty() && rules.label_prefixes.is_empty() => Ask::Not,
        Field::Labels => Ask::Line { placeholder: String::new(), value: None, is_needed: false },
        Field::InstanceType => choice(texts(&rules.instance_types), true, "m5.large"),
        Field::Region => {
            let regions: Vec<_> = policy.networks.iter().map(|network| network.region.to_string()).collect();
            choice(regions, true, "eu-west-1")
        }
        Field::Reason => {
            Ask::Text { placeholder: "What the runners are for. For people; nothing reads it.".to_owned() }
        }
    }
}

/// What stands below a field's title.
fn description(field: Field, kind: RequestKind, policy: &Policy) -> String {
    let rules = &policy.runners;
    match (field, kind) {
        (Field::Environment, RequestKind::Delete) => "The environment's name, exactly as it is spelled.".to_owned(),
        (Field::Environment, RequestKind::Set) => format!(
            "{}. It becomes a label of the runners. The name of an environment that is there edits that one: then every field \
             here is its new value.",
            EnvironmentName::RULE
        ),
        (Field::Organization, _) => "The organisation whose repositories use these runners.".to_owned(),
        (Field::MinRunners, _) => format!(
            "Idle runners that are kept at all times, from 0 to {}. With 0 the first job waits for a machine to boot, and nothing \
             is paid while nothing is queued.",
            rules.floor_maximum
        ),
        (Field::MaxRunners, _) => {
            format!("The most runners at one time, from 1 to {}. Further jobs wait.", rules.maximum)
        }
        (Field::RunnerGroup, _) => "The runner group says which repositories may use these runners.".to_owned(),
        (Field::AmiFilter, _) => {
            format!("A pattern over names of machine images: {}. Empty: the default image.", AmiPattern::RULE)
        }
        (Field::AmiOwner, _) => "Whose images the filter is about.".to_owned(),
        (Field::Labels, _) => {
            let labels = rules.labels.iter().map(ToString::to_string);
            let allowed: Vec<String> =
                labels.chain(rules.label_prefixes.iter().map(|prefix| format!("{prefix}…"))).collect();
            format!("Further labels, with commas between them. Allowed: {}.", allowed.join(", "))
        }
        (Field::InstanceType, _) => "The type of each machine.".to_owned(),
        (Field::Region, _) => "Where the machines run.".to_owned(),
        (Field::Reason, _) => "Why this is wanted.".to_owned(),
    }
}

fn element(field: Field, kind: RequestKind, policy: &Policy) -> String {
    let asked = ask(field, policy);
    let (word, mut attributes, is_needed) = match asked {
        Ask::Not => return String::new(),
        Ask::Line { placeholder, value, is_needed } => {
            let mut more = String::new();
            if !placeholder.is_empty() {
                let _ = writeln!(more, "      placeholder: {}", quoted(&placeholder));
            }
            if let Some(value) = value {
                let _ = writeln!(more, "      value: {}", quoted(&value));
            }
            ("input", more, is_needed)
        }
        Ask::Text { placeholder } => ("textarea", format!("      placeholder: {}\n", quoted(&placeholder)), false),
        Ask::Choice { choices, has_default } => {
            let mut more = "      options:\n".to_owned();
            for choice in choices {
                let _ = writeln!(more, "        - {}", quoted(&choice));
            }
            if has_default {
                more.push_str("      default: 0\n");
            }
            // Not needed would add a choice "None", which is no value of ours.
            ("dropdown", more, true)
        }
    };
    attributes.insert_str(0, &format!("      description: {}\n", quoted(&description(field, kind, policy))));
    let (key, title) = (field.key(), quoted(field.title()));
    format!(
        "  - type: {word}\n    id: {key}\n    attributes:\n      label: {title}\n{attributes}    validations:\n      required: {is_needed}\n"
    )
}

/// Where a form lies: its name is its label.
pub(crate) fn path(kind: RequestKind) -> String {
    format!(".github/ISSUE_TEMPLATE/{}.yml", kind.label())
}

/// An issue form.
pub(crate) fn form(kind: RequestKind, policy: &Policy) -> String {
    let (name, about, title, note) = match kind {
        RequestKind::Set => (
            "Runners: create or edit",
            "Ask for a set of self-hosted runners, or for another size of one that is there.",
            "Runners: ",
            "This becomes a pull request with a plan of what would be made and what it costs. Nothing is made before somebody \
             approves that plan. An edit of this issue is a new request; closing it gives the request up.",
        ),
        RequestKind::Delete => (
            "Runners: delete",
            "Ask for the end of a set of self-hosted runners.",
            "Delete runners: ",
            "This becomes a pull request with a plan of what would be destroyed. After its approval running jobs are waited for, \
             then everything of the environment is destroyed and its folder is moved to the archive.",
        ),
    };
    let mut text = format!(
        "# Written by `runnersmith init`, from the platform policy. Titles of fields are read by the handler: leave them as they are.\n\
         name: {}\ndescription: {}\ntitle: {}\nlabels: [{}]\nbody:\n  - type: markdown\n    attributes:\n      value: {}\n",
        quoted(name),
        quoted(about),
        quoted(title),
        quoted(kind.label()),
        quoted(note)
    );
    for field in kind.fields() {
        text.push_str(&element(*field, kind, policy));
    }
    text
}
