//! What a control repository's settings at GitHub must be, and what they are: no file can set them, and each promise of IssueOps rests on
//! some of them. Reading them is the command's; what follows from them is decided here.
//!
//! What could not be read is unknown and never good: GitHub answers 403 and 404 to who may not ask, and 404 is also its answer about what
//! is not there.

mod branch;
mod code_owners;
mod settings;

use std::collections::BTreeMap;

use runnersmith_issueops::policy;
use runnersmith_issueops::request::RequestKind;
use serde::Serialize;

use crate::files::{PINS, WORKFLOW_FILE, label_command};
use code_owners::CodeOwners;
pub use settings::{
    ActionsFacts, AppFacts, BranchFacts, Bypass, ControlRepoFacts, ENVIRONMENTS, EnvironmentFacts, Folders, Known,
    RepositoryFacts, RuleSource, SecretNames, Visibility,
};

/// What is found about one setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It is as it must be.
    Good,
    /// It works, and is not as we advise.
    Advice,
    /// It could not be read.
    Unknown,
    /// Something that is needed is not there, or is in the way.
    Missing,
}

impl Health {
    /// The word in a table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Advice => "advice",
            Self::Unknown => "unknown",
            Self::Missing => "MISSING",
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// How it is.
    pub health: Health,
    /// The setting.
    pub setting: String,
    /// What is there. It may hold foreign text.
    pub is: String,
    /// Why it matters.
    pub why: &'static str,
    /// What to do: a command, or the page and what to set there. Empty where it is good.
    pub fix: String,
}

/// All settings, in the order in which one sets them up.
#[must_use]
pub fn diagnose(found: &ControlRepoFacts) -> Vec<Diagnosis> {
    let mut table = Table { found, rows: Vec::new() };
    table.repository();
    table.plan();
    table.labels();
    table.environments();
    table.actions();
    table.workflow();
    table.branch();
    table.code_owners();
    table.policy();
    table.app();
    table.rows
}

/// The secret that holds a key for plans.
const PLAN_KEY: &str = "RUNNERSMITH_PLAN_KEY";
/// The secrets by which the workflow reaches AWS where it takes no role.
const AWS_KEYS: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

/// Whether the workflow's job in an environment takes AWS's keys, as `init` writes it: a job names its environment before its steps.
fn takes_aws_keys(workflow: &str, environment: &str) -> bool {
    let mut is_here = false;
    workflow.lines().any(|line| {
        if let Some(name) = line.trim().strip_prefix("environment:") {
            is_here = name.trim() == environment;
        }
        is_here && line.contains(&format!("secrets.{}", AWS_KEYS[0]))
    })
}

/// What a row says when it is not good.
struct Fault<'a> {
    health: Health,
    is: String,
    fix: &'a str,
}

struct Table<'a> {
    found: &'a ControlRepoFacts,
    rows: Vec<Diagnosis>,
}

impl Table<'_> {
    fn settings_page(&self, page: &str) -> String {
        format!("{}/{}/settings{page}", self.found.server, self.found.repository)
    }

    /// A row that is good unless something is wrong.
    fn row(&mut self, setting: &str, why: &'static str, good: &str, wrong: Option<Fault<'_>>) {
        let (health, is, fix) = match wrong {
            None => (Health::Good, good.to_owned(), String::new()),
            Some(fault) => (fault.health, fault.is, fault.fix.to_owned()),
        };
        self.rows.push(Diagnosis { health, setting: setting.to_owned(), is, why, fix });
    }

    /// A row about something that must be so.
    fn needs(&mut self, setting: &str, why: &'static str, is_so: bool, (good, bad): (&str, &str), fix: &str) {
        let wrong = (!is_so).then(|| Fault { health: Health::Missing, is: bad.to_owned(), fix });
        self.row(setting, why, good, wrong);
    }

    /// The row of what could not be read.
    fn unknown(&mut self, setting: &str, why: &'static str, because: &str) {
        let fix =
            "read it as an admin of the repository: GH_TOKEN=$(gh auth token) runnersmith issueops doctor".to_owned();
        let is = format!("could not be read: {because}");
        self.rows.push(Diagnosis { health: Health::Unknown, setting: setting.to_owned(), is, why, fix });
    }

    fn repository(&mut self) {
        let facts = self.found.facts.clone();
        let page = self.settings_page("");
        let why = "who can read it can read every plan";
        let fix = format!("{page}: Danger Zone, change the visibility to private");
        let is = match facts.visibility {
            Visibility::Private => None,
            Visibility::Internal => Some("internal: every member of the enterprise can read it".to_owned()),
            Visibility::Public => Some("public".to_owned()),
        };
        let wrong = is.map(|is| Fault { health: Health::Advice, is, fix: &fix });
        self.row("visibility", why, "private", wrong);
        let why = "requests are issues, and their answers comments";
        let fix = format!("{page}: Features, switch Issues on");
        self.needs("issues", why, facts.has_issues, ("on", "off"), &fix);
        let why = "nothing can be written to it, and no workflow runs";
        let fix = format!("{page}: Danger Zone, unarchive it");
        self.needs("archived", why, !facts.is_archived, ("no", "yes"), &fix);
    }

    fn plan(&mut self) {
        let why = "GitHub Free has environments, rules and code owners in public repositories only; what it does not offer protects nothing";
        let facts = &self.found.facts;
        match &self.found.plan {
            // Nothing of a public repository depends on it.
            _ if facts.visibility == Visibility::Public => {
                self.row("plan", why, "no matter, the repository is public", None)
            }
            Ok(plan) => {
                let is_free = plan.eq_ignore_ascii_case("free");
                let fix = "take GitHub Team or Enterprise for the organisation (Pro for a person)";
                let (plan, is_enough) = (plan.clone(), !is_free);
                self.needs("plan", why, is_enough, (&plan, &format!("{plan}, and the repository is private")), fix);
            }
            Err(because) => {
                let because = because.clone();
                self.unknown("plan", why, &because);
            }
        }
    }

    fn labels(&mut self) {
        let why = "the forms set it and cannot make it; an issue without it asks for nothing";
        for kind in RequestKind::ALL {
            let setting = format!("label {}", kind.label());
            match self.found.labels.get(kind.label()) {
                Some(Ok(is_there)) => {
                    let fix = label_command(kind, &self.found.repository);
                    self.needs(&setting, why, *is_there, ("there", "not there"), &fix);
                }
                Some(Err(because)) => self.unknown(&setting, why, &because.clone()),
                None => self.unknown(&setting, why, "it was not asked for"),
            }
        }
    }

    fn environments(&mut self) {
        const WHY: &str = "a job that names an environment that is not there makes one that every branch may use";
        let environments = match &self.found.environments {
            Ok(environments) => environments.clone(),
            Err(because) => {
                let because = because.clone();
                for name in ENVIRONMENTS {
                    self.unknown(&format!("environment {name}"), WHY, &because);
                }
                return;
            }
        };
        self.plan_key(&environments);
        let page = self.settings_page("/environments");
        for name in ENVIRONMENTS {
            let fix = format!("{page}: New environment, {name}");
            let found = environments.get(name);
            self.needs(&format!("environment {name}"), WHY, found.is_some(), ("there", "not there"), &fix);
            if let Some(found) = found {
                self.environment(name, found, &page);
            }
        }
    }

    fn environment(&mut self, name: &str, found: &EnvironmentFacts, page: &str) {
        let branch = self.found.branch.clone();
        let setting = format!("{name}: branches");
        let why = "what keeps its secrets and its role from the workflows of other branches, which any writer can push";
        let fix = format!("{page}: {name}, Deployment branches and tags, Selected branches and tags, only {branch}");
        match &found.branches {
            Err(because) => self.unknown(&setting, why, because),
            Ok(None) => self.needs(&setting, why, false, ("", "every branch"), &fix),
            Ok(Some(branches)) => {
                let shown = if branches.is_empty() { "none".to_owned() } else { branches.join(", ") };
                self.needs(&setting, why, branches.as_slice() == [branch], (&shown, &shown), &fix);
            }
        }
        let why = "a plan's approval is its digest; a job that waits for a reviewer, or for a time, keeps every request waiting";
        let waits = match (found.reviewers, found.wait_minutes) {
            (0, 0) => None,
            (reviewers, 0) => Some(format!("{reviewers} required reviewer(s)")),
            (reviewers, minutes) => Some(format!("{reviewers} required reviewer(s), a wait of {minutes} minute(s)")),
        };
        let fix = format!("{page}: {name}, take required reviewers and the wait timer away");
        let wrong = waits.map(|is| Fault { health: Health::Advice, is, fix: &fix });
        self.row(&format!("{name}: reviewers"), why, "none", wrong);
        self.secrets(name, &found.secrets);
    }

    /// A key of one's own that seals plans; without one it is derived from the App's, which both have.
    fn plan_key(&mut self, environments: &BTreeMap<String, EnvironmentFacts>) {
        let has = |name: &str| {
            let there = environments.get(name)?.secrets.as_ref().ok()?;
            Some(there.iter().any(|one| one.eq_ignore_ascii_case(PLAN_KEY)))
        };
        // What is not there, or could not be read, has a row of its own.
        let known = ENVIRONMENTS.map(|name| (name, has(name)));
        let [(_, Some(plans)), (_, Some(applies))] = known else { return };
        let why = "what one job seals the other opens";
        let without = if plans { ENVIRONMENTS[1] } else { ENVIRONMENTS[0] };
        let fix = format!(
            "gh secret set {PLAN_KEY} --repo {} --env {without}, with the same value as in the other environment",
            self.found.repository
        );
        let bad = format!("{PLAN_KEY} is missing in {without}");
        self.needs("key of plans", why, plans == applies, ("the same secrets in both environments", &bad), &fix);
    }

    fn secrets(&mut self, environment: &str, found: &Known<Vec<String>>) {
        let setting = format!("{environment}: secrets");
        let why = "the App's id and key, by which plans are sealed, runner groups read and webhooks set; and AWS's keys where the workflow \
                   takes no role";
        let names = &self.found.secret_names;
        let keys = match &self.found.workflow_text {
            Err(because) => Err(because.clone()),
            Ok(text) => Ok(text.as_deref().is_some_and(|text| takes_aws_keys(text, environment))),
        };
        match found.as_ref().and_then(|there| keys.as_ref().map(|keys| (there, *keys))) {
            Err(because) => self.unknown(&setting, why, &because.clone()),
            Ok((there, keys)) => {
                let has = |name: &str| there.iter().any(|one| one.eq_ignore_ascii_case(name));
                let mut missing = Vec::new();
                if !has(&names.app_id) && !has(&names.client_id) {
                    missing.push(names.app_id.clone());
                }
                if !has(&names.key_base64) {
                    missing.push(names.key_base64.clone());
                }
                missing.extend(AWS_KEYS.iter().filter(|name| keys && !has(name)).map(ToString::to_string));
                let set = |name: &String| {
                    format!("gh secret set {name} --repo {} --env {environment}", self.found.repository)
                };
                let fix = missing.iter().map(set).collect::<Vec<_>>().join("; ");
                let bad = format!("without {}", missing.join(", "));
                self.needs(&setting, why, missing.is_empty(), ("what jobs need is there", &bad), &fix);
            }
        }
    }

    fn actions(&mut self) {
        let why = "the workflow handles requests; it uses two actions, pinned by commit";
        let page = self.settings_page("/actions");
        match self.found.actions.clone() {
            Err(because) => self.unknown("actions", why, &because),
            Ok(actions) => {
                let refused: Vec<&str> =
                    PINS.iter().map(|(action, _)| *action).filter(|action| !actions.allows(action)).collect();
                let bad = match actions.is_enabled {
                    false => "off".to_owned(),
                    true => format!("not allowed: {}", refused.join(", ")),
                };
                let fix = format!("{page}: allow actions, and among selected ones those two");
                self.needs("actions", why, actions.is_enabled && refused.is_empty(), ("allowed", &bad), &fix);
            }
        }
        let why = "the workflow's token opens the pull request of each request";
        match self.found.opens_pulls.clone() {
            Err(because) => self.unknown("pull requests by actions", why, &because),
            Ok(is_allowed) => {
                let repository = &self.found.repository;
                let fix = format!(
                    "gh api -X PUT repos/{repository}/actions/permissions/workflow -f default_workflow_permissions=read \
                     -F can_approve_pull_request_reviews=true (where it is greyed out, an owner of the organisation must allow it first)"
                );
                self.needs("pull requests by actions", why, is_allowed, ("allowed", "not allowed"), &fix);
            }
        }
    }

    fn workflow(&mut self) {
        let why = "it handles requests, and does on a schedule what no event did";
        match self.found.workflow.clone() {
            Err(because) => self.unknown("workflow", why, &because),
            Ok(None) => {
                let fix = "lay it out with `runnersmith init`, and merge it into the default branch";
                self.needs("workflow", why, false, ("", &format!("there is no {WORKFLOW_FILE}")), fix);
            }
            Ok(Some(state)) => {
                let name = WORKFLOW_FILE.rsplit('/').next().unwrap_or(WORKFLOW_FILE);
                let fix = format!("gh workflow enable {name} --repo {}", self.found.repository);
                self.needs("workflow", why, state == "active", (&state, &state), &fix);
            }
        }
    }

    fn code_owners(&mut self) {
        const SETTING: &str = "code owners";
        let why = "what runs with the roles is changed only with its owners' review; requests need none, so their folders have no owner";
        let fix = "`runnersmith init . --platform-team ORGANISATION/TEAM`, and give the team write access";
        let text = match &self.found.code_owners {
            Err(because) => {
                let because = because.clone();
                self.unknown(SETTING, why, &because);
                return;
            }
            Ok(None) => {
                self.needs(SETTING, why, false, ("", "there is no CODEOWNERS"), fix);
                return;
            }
            Ok(Some(text)) => text.clone(),
        };
        let owners = CodeOwners::parse(&text);
        let (mut wrong, mut unread) = (Vec::new(), Vec::new());
        for path in self.found.owned_paths() {
            match owners.has_owner(&path) {
                Some(true) => {}
                Some(false) => wrong.push(format!("{path} has none")),
                None => unread.push(path),
            }
        }
        for path in self.found.unowned_paths() {
            match owners.has_owner(&path) {
                Some(false) => {}
                Some(true) => wrong.push(format!("{path} has one, so that requests would wait for a review")),
                None => unread.push(path),
            }
        }
        if wrong.is_empty() && !unread.is_empty() {
            let is = format!("not known of {}: by a pattern that this command does not read", unread.join(", "));
            let fix = "look by hand whom these paths belong to, or write the pattern without *, ? and [ in its middle";
            self.row(SETTING, why, "", Some(Fault { health: Health::Unknown, is, fix }));
        } else {
            self.needs(SETTING, why, wrong.is_empty(), ("as they must be", &wrong.join("; ")), fix);
        }
        let why = "GitHub leaves out a line that it cannot read, and an owner who may not write";
        match self.found.code_owner_errors.clone() {
            Err(because) => self.unknown("errors in CODEOWNERS", why, &because),
            Ok(errors) => {
                let fix = "correct the lines, or give who is named there write access";
                self.needs("errors in CODEOWNERS", why, errors.is_empty(), ("none", &errors.join("; ")), fix);
            }
        }
    }

    fn policy(&mut self) {
        let why = "it bounds what requests may ask, and says where states are; without it nothing is handled";
        let fix = format!("correct {} on the default branch, or lay it out with `runnersmith init`", policy::FILE);
        match self.found.policy.clone() {
            Err(because) => self.unknown("policy", why, &because),
            Ok(Ok(())) => self.needs("policy", why, true, ("can be used", ""), ""),
            Ok(Err(problem)) => self.needs("policy", why, false, ("", &problem), &fix),
        }
    }

    fn app(&mut self) {
        let why = "it reads teams and runner groups, sets webhooks, and registers the runners";
        match self.found.app.clone() {
            Err(because) => self.unknown("GitHub App", why, &because),
            Ok(app) => {
                let fix = format!(
                    "{}; then accept the change where it is installed (`runnersmith app check` shows all)",
                    app.page
                );
                self.needs("GitHub App", why, app.lacks.is_empty(), ("has what it needs", &app.lacks.join("; ")), &fix);
            }
        }
    }
}

#[cfg(test)]
mod tests;
