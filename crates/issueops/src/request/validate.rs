//! Values by the policy and by what exists. Each rule answers for its own field, and all of them are asked.

use std::collections::{BTreeMap, BTreeSet};

use super::{Ami, Field, Given, Refused, Request, RequestKind, RequestProblem, SetRequest};
use crate::policy::Policy;
use crate::words::{
    AmiOwner, AmiPattern, EnvironmentName, GroupName, InstanceType, LabelName, NotAName, Organization, look_alike,
};

/// The most labels that a request may add.
const LABELS_MAX: usize = 10;
/// The philips-labs module's default of `runners_maximum_count`.
const MAXIMUM_DEFAULT: u32 = 3;

/// What is there already, as the default branch and the open changes say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Environments by their spelling, with the labels of their runners; those that only another issue's open change would
    /// make are among them, so that two open requests cannot take the same label.
    pub environments: BTreeMap<String, BTreeSet<String>>,
    /// The organisations of environments that are there, by spelling.
    pub organizations: BTreeMap<String, String>,
    /// Environments with an open change, with the issue that asked for it.
    pub open_changes: BTreeMap<String, u64>,
    /// The issue that is checked; its own open change is no obstacle.
    pub issue: u64,
}

impl Known {
    fn spelling(&self, name: &str) -> Option<&str> {
        self.environments.keys().map(String::as_str).find(|known| known.eq_ignore_ascii_case(name))
    }

    /// The environment of this issue's own open change.
    fn own_change(&self) -> Option<&str> {
        self.open_changes.iter().find(|(_, issue)| **issue == self.issue).map(|(name, _)| name.as_str())
    }

    fn open_change(&self, name: &str) -> Option<u64> {
        let mut open = self.open_changes.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        open.find(|(_, issue)| **issue != self.issue).map(|(_, issue)| *issue)
    }
}

/// Labels that GitHub's hosted runners have, or that every runner has: a set with one of them as its own would take jobs
/// that nobody meant for it.
fn is_github_label(label: &str) -> bool {
    let label = label.to_ascii_lowercase();
    let hosted = ["ubuntu-", "windows-", "macos-"].iter().any(|system| label.starts_with(system));
    let own = ["self-hosted", "linux", "windows", "macos", "x64", "x86", "arm", "arm64"];
    hosted || own.contains(&label.as_str())
}

/// Whether every environment's runners may have this label: it separates none of them.
#[must_use]
pub fn is_common_label(policy: &Policy, label: &str) -> bool {
    is_github_label(label)
        || policy.runners.common_labels.iter().any(|common| common.as_str().eq_ignore_ascii_case(label))
}

/// Checks what was given.
///
/// # Errors
/// When a value is missing or not allowed; all problems are listed, in the order of the form.
pub fn validate(given: &Given, kind: RequestKind, policy: &Policy, known: &Known) -> Result<Request, Refused> {
    let mut checker = Checker { given, policy, known, problems: Vec::new() };
    let request = match kind {
        RequestKind::Set => checker.set().map(|set| Request::Set(Box::new(set))),
        RequestKind::Delete => checker.delete().map(Request::Delete),
    };
    match request {
        Some(request) if checker.problems.is_empty() => Ok(request),
        _ => {
            checker.problems.sort_by_key(|problem| Field::named(&problem.field));
            Err(Refused(checker.problems))
        }
    }
}

struct Checker<'a> {
    given: &'a Given,
    policy: &'a Policy,
    known: &'a Known,
    problems: Vec<RequestProblem>,
}

fn list<T: ToString>(items: &[T]) -> String {
    let shown: Vec<String> = items.iter().take(20).map(ToString::to_string).collect();
    let more = if items.len() > 20 { format!(" and {} more", items.len() - 20) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

impl Checker<'_> {
    fn refuse<T>(&mut self, field: Field, allowed: impl Into<String>, example: impl Into<String>) -> Option<T> {
        let given = self.given.get(&field).map(String::as_str).unwrap_or_default();
        let mut allowed = allowed.into();
        if let Some(what) = look_alike(given) {
            allowed.push_str(&format!(" ({what})"));
        }
        self.problems.push(RequestProblem::of(field, given, allowed, example));
        None
    }

    fn name<T>(&mut self, field: Field, parse: fn(&str) -> Result<T, NotAName>, example: &str) -> Option<T> {
        let text = self.given.get(&field)?;
        match parse(text) {
            Ok(name) => Some(name),
            Err(error) => self.refuse(field, error.rule, example),
        }
    }

    /// The value must be one of those listed, by text.
    fn one_of<T: Clone + ToString>(
        &mut self,
        field: Field,
        allowed: &[T],
        is_it: impl Fn(&T, &str) -> bool,
    ) -> Option<T> {
        let text = self.given.get(&field).map(String::as_str).unwrap_or_default();
        match allowed.iter().find(|one| is_it(one, text)) {
            Some(one) => Some(one.clone()),
            None => self.refuse(
                field,
                format!("one of: {}", list(allowed)),
                allowed.first().map(T::to_string).unwrap_or_default(),
            ),
        }
    }

    fn number(&mut self, field: Field, default: u32, least: u32, most: u32) -> Option<u32> {
        let Some(text) = self.given.get(&field) else { return Some(default.clamp(least, most)) };
        // `parse` alone would take a sign.
        let digits = text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse().ok().filter(|n| digits && (least..=most).contains(n)) {
            Some(number) => Some(number),
            None => self.refuse(
                field,
                format!("a whole number from {least} to {most}"),
                default.clamp(least, most).to_string(),
            ),
        }
    }

    fn environment(&mut self) -> Option<EnvironmentName> {
        if !self.given.contains_key(&Field::Environment) {
            return self.refuse(Field::Environment, format!("a name: {}", EnvironmentName::RULE), "linux_large");
        }
        let name = self.name(Field::Environment, EnvironmentName::parse, "linux_large")?;
        if let Some(issue) = self.known.open_change(name.as_str()) {
            return self.refuse(
                Field::Environment,
                format!(
                    "an environment without an open change; #{issue} is changing this one, wait for it or close it"
                ),
                "",
            );
        }
        // Branch, folder and state have the environment's name: they cannot follow to another.
        if let Some(own) = self.known.own_change().filter(|own| *own != name.as_str()) {
            let own = own.to_owned();
            return self.refuse(
                Field::Environment,
                format!("{own}, which this issue is changing; for another environment close this one and open another"),
                own,
            );
        }
        Some(name)
    }

    fn delete(&mut self) -> Option<EnvironmentName> {
        let name = self.environment()?;
        match self.known.spelling(name.as_str()) {
            Some(spelling) if spelling == name.as_str() => Some(name),
            Some(other) => {
                let other = other.to_owned();
                self.refuse(Field::Environment, "the environment's name exactly as it is spelled", other)
            }
            None => {
                let names: Vec<&String> = self.known.environments.keys().collect();
                let allowed = if names.is_empty() {
                    "an environment that is there; none is".to_owned()
                } else {
                    format!("an environment that is there: {}", list(&names))
                };
                self.refuse(Field::Environment, allowed, "")
            }
        }
    }

    fn set(&mut self) -> Option<SetRequest> {
        let environment = self.environment().and_then(|name| self.own_name(name));
        let organizations = &self.policy.organizations;
        let organization: Option<Organization> = self
            .one_of(Field::Organization, organizations, |one, text| one.as_str().eq_ignore_ascii_case(text))
            .and_then(|organization| self.stays(environment.as_ref(), organization));
        let rules = &self.policy.runners;
        let maximum = self.number(Field::MaxRunners, MAXIMUM_DEFAULT, 1, rules.maximum);
        let floor = self.number(Field::MinRunners, 0, 0, rules.floor_maximum.min(maximum.unwrap_or(u32::MAX)));
        let group = self.group();
        let ami = self.ami();
        let labels = self.labels(environment.as_ref());
        let instance_type = self.listed(Field::InstanceType, &rules.instance_types, InstanceType::as_str);
        let regions: Vec<_> = self.policy.networks.iter().map(|network| network.region.clone()).collect();
        let region = self.listed(Field::Region, &regions, |region| region.as_str());
        let network = region.and_then(|region| self.policy.networks.iter().find(|one| one.region == region).cloned());
        let environment = environment?;
        let is_edit = self.known.spelling(environment.as_str()).is_some();
        Some(SetRequest {
            environment,
            organization: organization?,
            floor: floor?,
            maximum: maximum?,
            group: group?,
            labels: labels?,
            ami: ami?,
            instance_type: instance_type?,
            network: network?,
            is_edit,
        })
    }

    /// Registrations are an organisation's: those of the old one would be left behind.
    fn stays(&mut self, environment: Option<&EnvironmentName>, asked: Organization) -> Option<Organization> {
        let own = environment.and_then(|name| self.known.organizations.get(name.as_str()));
        let Some(own) = own.filter(|own| !own.eq_ignore_ascii_case(asked.as_str())).cloned() else {
            return Some(asked);
        };
        self.refuse(
            Field::Organization,
            format!("{own}, whose runners these are; for another organisation make another environment"),
            own,
        )
    }

    /// A new name must differ from the others in more than case, and may not be a label that other runners have.
    fn own_name(&mut self, name: EnvironmentName) -> Option<EnvironmentName> {
        if let Some(other) = self.known.spelling(name.as_str()).filter(|other| *other != name.as_str()) {
            let other = other.to_owned();
            return self.refuse(
                Field::Environment,
                format!("a name that differs from {other} in more than case, or {other} itself to edit it"),
                other,
            );
        }
        if is_common_label(self.policy, name.as_str()) {
            return self.refuse(
                Field::Environment,
                "a name that is not a label of other runners, since it becomes a label",
                format!("{name}_1"),
            );
        }
        if let Some(other) = self.taken(name.as_str(), Some(&name)) {
            return self.refuse(
                Field::Environment,
                format!("a name that is not a label of {other}, whose jobs it would take"),
                format!("{name}_1"),
            );
        }
        Some(name)
    }

    /// The other environment that has this label as one of its own.
    fn taken(&self, label: &str, environment: Option<&EnvironmentName>) -> Option<String> {
        let mine = environment.and_then(|name| self.known.environments.get(name.as_str()));
        let has_already = mine.is_some_and(|mine| mine.iter().any(|one| one.eq_ignore_ascii_case(label)));
        if has_already || is_common_label(self.policy, label) {
            return None;
        }
        let others =
            self.known.environments.iter().filter(|(name, _)| environment.is_none_or(|own| own.as_str() != *name));
        let mut has = others.filter(|(name, labels)| {
            name.eq_ignore_ascii_case(label) || labels.iter().any(|one| one.eq_ignore_ascii_case(label))
        });
        has.next().map(|(name, _)| name.clone())
    }

    fn listed<T: Clone + ToString>(&mut self, field: Field, allowed: &[T], text_of: impl Fn(&T) -> &str) -> Option<T> {
        if !self.given.contains_key(&field) {
            return allowed.first().cloned();
        }
        self.one_of(field, allowed, |one, text| text_of(one) == text)
    }

    fn group(&mut self) -> Option<GroupName> {
        let rules = &self.policy.runners;
        let text = self.given.get(&Field::RunnerGroup).map_or("Default", String::as_str);
        if let Some(group) = rules.groups.iter().find(|group| group.as_str().eq_ignore_ascii_case(text)) {
            return Some(group.clone());
        }
        if rules.any_group {
            return match GroupName::parse(text) {
                Ok(group) => Some(group),
                Err(error) => self.refuse(Field::RunnerGroup, error.rule, "Default"),
            };
        }
        let example = rules.groups.first().map(ToString::to_string).unwrap_or_default();
        self.refuse(Field::RunnerGroup, format!("one of: {}", list(&rules.groups)), example)
    }

    fn ami(&mut self) -> Option<Ami> {
        let owners = &self.policy.runners.ami_owners;
        let owner = self.listed(Field::AmiOwner, owners, AmiOwner::as_str);
        let filter = match self.given.contains_key(&Field::AmiFilter) {
            false => None,
            true => Some(self.name(Field::AmiFilter, AmiPattern::parse, "al2023-ami-2023.*-x86_64")?),
        };
        Some(Ami { filter, owner: owner? })
    }

    fn labels(&mut self, environment: Option<&EnvironmentName>) -> Option<Vec<LabelName>> {
        let rules = &self.policy.runners;
        let mut labels = rules.common_labels.clone();
        labels.extend(environment.and_then(|name| LabelName::parse(name.as_str()).ok()));
        let asked = self.given.get(&Field::Labels).map(String::as_str).unwrap_or_default();
        let asked: Vec<&str> = asked.split([',', '\n']).map(str::trim).filter(|label| !label.is_empty()).collect();
        if asked.len() > LABELS_MAX {
            return self.refuse(Field::Labels, format!("at most {LABELS_MAX} labels, with commas between them"), "");
        }
        for text in asked {
            let Ok(label) = LabelName::parse(text) else {
                return self.refuse(
                    Field::Labels,
                    format!("labels with commas between them, each {}", LabelName::RULE),
                    "large",
                );
            };
            if labels.iter().any(|have| have.as_str().eq_ignore_ascii_case(text))
                || text.eq_ignore_ascii_case("self-hosted")
            {
                continue;
            }
            let begins = |prefix: &LabelName| {
                text.get(..prefix.as_str().len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_str()))
            };
            let listed = rules.labels.iter().any(|one| one.as_str().eq_ignore_ascii_case(text));
            if is_github_label(text) || !(listed || rules.label_prefixes.iter().any(begins)) {
                let some: Vec<String> = rules
                    .labels
                    .iter()
                    .map(ToString::to_string)
                    .chain(rules.label_prefixes.iter().map(|prefix| format!("{prefix}…")))
                    .collect();
                let allowed = if some.is_empty() {
                    "no labels beside the environment's name".to_owned()
                } else {
                    format!("these labels: {}", list(&some))
                };
                return self.refuse(Field::Labels, format!("{allowed}; {text} is not one of them"), "");
            }
            if let Some(other) = self.taken(text, environment) {
                return self.refuse(
                    Field::Labels,
                    format!("labels of no other environment; {text} is a label of {other}, whose jobs it would take"),
                    "",
                );
            }
            labels.push(label);
        }
        Some(labels)
    }
}
