//! `runnersmith issueops doctor`: what a control repository's settings are, and what they must be. What follows from what is read is decided
//! in `control-repo`; here it is asked for and shown. Nothing is changed.

use std::collections::BTreeMap;

use runnersmith_control_repo::WORKFLOW_FILE;
use runnersmith_control_repo::doctor::{
    ActionsFacts, AppFacts, BranchFacts, Bypass, ControlRepoFacts, Diagnosis, ENVIRONMENTS, EnvironmentFacts, Folders,
    Health, Known, RepositoryFacts, RuleSource, SecretNames, Visibility, diagnose,
};
use runnersmith_github::settings::{
    BranchPolicy, BypassView, EnvironmentView, ProtectionSource, RepositoryView, RepositoryVisibility,
};
use runnersmith_github::{ControlClient, GitHubClient};
use runnersmith_github_app::{AppProfile, AppRunners, Feature, Needs, feature_states, missing};
use runnersmith_issueops::policy::{self, FETCHES_ITSELF, Policy, WebhookTarget};
use runnersmith_issueops::request::RequestKind;
use runnersmith_ports::{ControlRepository as _, GitHubError, chain};
use serde::Serialize;

use super::connection;
use super::options::WorkflowOptions;
use crate::exit::{CommandFailure, ExitStatus};
use crate::{credentials, report};

/// Where code owners are looked for: where `init` puts them, and GitHub's two other places.
const CODE_OWNERS: [&str; 3] = [".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"];
/// The most bytes of a policy's problem in one row.
const PROBLEM_CHARS_MAX: usize = 400;

/// What is printed as JSON.
#[derive(Serialize)]
struct Report<'a> {
    repository: &'a str,
    missing: usize,
    unknown: usize,
    settings: &'a [Diagnosis],
}

/// Looks, and shows. [`ExitStatus::Faults`] when something needed is missing, [`ExitStatus::RequestFailed`] when nothing is known to be, and
/// something could not be read.
pub async fn command(options: &WorkflowOptions, is_json: bool) -> Result<ExitStatus, CommandFailure> {
    let (control, app) = connection::control(options, &["GH_TOKEN", "GITHUB_TOKEN"])?;
    let server = credentials::server_url(options.server_url.as_deref())?;
    let view = control.view().await.map_err(|error| not_found(&error))?;
    let rows = diagnose(&look(&control, app.as_deref(), view, server).await);
    let count = |health: Health| rows.iter().filter(|row| row.health == health).count();
    let (missing, unknown) = (count(Health::Missing), count(Health::Unknown));
    if is_json {
        report::json(&Report { repository: &options.repository, missing, unknown, settings: &rows })?;
    } else {
        rows.iter().flat_map(lines).for_each(|line| report::line(&line));
        report::line(&format!("{missing} missing, {unknown} unknown, {} good", count(Health::Good)));
    }
    Ok(match (missing, unknown) {
        (0, 0) => ExitStatus::Success,
        (0, _) => ExitStatus::RequestFailed,
        _ => ExitStatus::Faults,
    })
}

fn not_found(error: &GitHubError) -> CommandFailure {
    CommandFailure::outside(
        chain(error),
        "is --repository right, and may the token in GH_TOKEN read it? `gh auth token` prints one of yours",
    )
}

/// A row as people read it: what is there, and where it is not good why that matters and what to do. Foreign text is one harmless line.
fn lines(row: &Diagnosis) -> Vec<String> {
    let plain = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let mut lines = vec![format!("{:8} {:34} {}", row.health.word(), row.setting, plain(&row.is))];
    if row.health != Health::Good {
        lines.push(format!("{:8} why: {}", "", row.why));
        lines.push(format!("{:8} fix: {}", "", plain(&row.fix)));
    }
    lines
}

fn known<T>(found: Result<T, GitHubError>) -> Known<T> {
    found.map_err(|error| chain(&error))
}

/// Reads everything. What cannot be read keeps nothing else from being read.
async fn look(
    control: &ControlClient,
    app: Option<&GitHubClient>,
    view: RepositoryView,
    server: String,
) -> ControlRepoFacts {
    let files = known(texts(control, &view.default_branch).await);
    let text = |path: &str| files.as_ref().map(|files| files.get(path).cloned()).map_err(Clone::clone);
    let policy = text(policy::FILE).map(|text| match text {
        None => Err(format!("there is no {} on the default branch", policy::FILE)),
        Some(text) => usable(&text, &view.full_name),
    });
    let own = policy.as_ref().ok().and_then(|policy| policy.as_ref().ok());
    let code_owners = files.as_ref().map(|files| CODE_OWNERS.iter().find_map(|path| files.get(*path).cloned()));
    let code_owners = code_owners.map_err(Clone::clone);
    let mut labels = BTreeMap::new();
    for kind in RequestKind::ALL {
        labels.insert(kind.label().to_owned(), known(control.has_label(kind.label()).await));
    }
    let workflow_text = text(WORKFLOW_FILE);
    let workflow = WORKFLOW_FILE.rsplit('/').next().unwrap_or(WORKFLOW_FILE);
    ControlRepoFacts {
        server,
        facts: RepositoryFacts {
            visibility: match view.visibility {
                RepositoryVisibility::Public => Visibility::Public,
                RepositoryVisibility::Internal => Visibility::Internal,
                RepositoryVisibility::Private => Visibility::Private,
            },
            is_archived: view.is_archived,
            has_issues: view.has_issues,
        },
        plan: plan(control, view.is_organizations).await,
        labels,
        environments: environments(control).await,
        secret_names: secret_names(own),
        actions: known(control.actions().await).map(|found| ActionsFacts {
            is_enabled: found.is_enabled,
            allowed: found.allowed,
            verified: found.verified,
            patterns: found.patterns,
        }),
        opens_pulls: known(control.token_opens_pulls().await),
        workflow: known(control.workflow_state(workflow).await),
        workflow_text,
        protection: protection(control, &view.default_branch).await,
        code_owner_errors: match &code_owners {
            Ok(None) => Ok(Vec::new()),
            _ => known(control.code_owner_errors().await),
        },
        code_owners,
        folders: Folders::of(own),
        app: app_facts(app, own, &view.full_name).await,
        policy: policy.map(|policy| policy.map(drop)),
        repository: view.full_name,
        branch: view.default_branch,
    }
}

/// The policy, as every run reads it.
fn usable(text: &str, repository: &str) -> Result<Policy, String> {
    let policy =
        Policy::parse(text).map_err(|error| chain(&error).chars().take(PROBLEM_CHARS_MAX).collect::<String>())?;
    match policy.fetches_module_from(repository) {
        true => Err(FETCHES_ITSELF.to_owned()),
        false => Ok(policy),
    }
}

/// The files of the default branch that say something of its settings.
async fn texts(control: &ControlClient, branch: &str) -> Result<BTreeMap<String, String>, GitHubError> {
    let Some(commit) = control.branch(branch).await? else { return Ok(BTreeMap::new()) };
    let tree = control.tree(&commit).await?;
    let mut texts = BTreeMap::new();
    for path in CODE_OWNERS.into_iter().chain([policy::FILE, WORKFLOW_FILE]) {
        if let Some(blob) = tree.get(path) {
            let bytes = control.blob(&blob.sha).await?;
            texts.insert(path.to_owned(), String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    Ok(texts)
}

async fn plan(control: &ControlClient, is_organizations: bool) -> Known<String> {
    if !is_organizations {
        return Err("GitHub does not say the plan of a person".to_owned());
    }
    known(control.plan().await)?.ok_or_else(|| "GitHub shows it to the organisation's owners only".to_owned())
}

async fn environments(control: &ControlClient) -> Known<BTreeMap<String, EnvironmentFacts>> {
    let mut facts = BTreeMap::new();
    for found in known(control.environments().await)? {
        // Others are nobody's business here.
        if ENVIRONMENTS.contains(&found.name.as_str()) {
            facts.insert(found.name.clone(), environment(control, &found).await);
        }
    }
    Ok(facts)
}

async fn environment(control: &ControlClient, found: &EnvironmentView) -> EnvironmentFacts {
    let branches = match found.branches {
        BranchPolicy::All => Ok(None),
        BranchPolicy::Protected => Ok(Some(vec!["every protected branch".to_owned()])),
        BranchPolicy::Listed => known(control.environment_branches(&found.name).await).map(Some),
    };
    EnvironmentFacts {
        branches,
        reviewers: found.reviewers,
        wait_minutes: found.wait_minutes,
        secrets: known(control.environment_secrets(&found.name).await),
    }
}

/// As the policy names them; as `init` does without a policy.
fn secret_names(policy: Option<&Policy>) -> SecretNames {
    let names = policy.map(|policy| &policy.app);
    let name = |own: Option<&String>, usual: &str| own.map_or_else(|| usual.to_owned(), Clone::clone);
    SecretNames {
        app_id: name(names.map(|names| &names.id), credentials::APP_ID),
        client_id: name(names.map(|names| &names.client_id), credentials::APP_CLIENT_ID),
        key_base64: name(names.map(|names| &names.key_base64), credentials::APP_KEY_BASE64),
    }
}

async fn protection(control: &ControlClient, branch: &str) -> Known<BranchFacts> {
    known(control.protection(branch).await).map(|found| BranchFacts {
        methods: found.methods,
        sources: found.sources.into_iter().map(source).collect(),
        approvals: found.approvals,
        needs_last_push_approval: found.needs_last_push_approval,
        checks: found.checks,
        needs_queue: found.needs_queue,
        unread: found.unread,
    })
}

fn source(found: ProtectionSource) -> RuleSource {
    let bypass = |found: Vec<_>| {
        let one = |one: BypassView| Bypass { who: one.who, is_admin: one.is_admin };
        found.into_iter().map(one).collect()
    };
    RuleSource {
        needs_pull: found.needs_pull,
        needs_code_owners: found.needs_code_owners,
        dismisses_stale: found.dismisses_stale,
        refuses_force_pushes: found.refuses_force_pushes,
        refuses_deletion: found.refuses_deletion,
        bypass: found.bypass.map(bypass),
    }
}

/// What the App is needed for. Where the policy sets no webhook somebody has entered it by hand, and it need not be the App's.
fn app_needs(webhook: Option<WebhookTarget>) -> Needs {
    let mut needs = Needs::new(AppProfile::Minimal, AppRunners::Organization);
    needs.organization_webhook = webhook == Some(WebhookTarget::Organization);
    needs.app_webhook = matches!(webhook, None | Some(WebhookTarget::App));
    needs
}

/// What the App lacks where the control repository is, by its own key; without the key it is not known.
async fn app_facts(app: Option<&GitHubClient>, policy: Option<&Policy>, repository: &str) -> Known<AppFacts> {
    let app = app.ok_or_else(|| {
        format!("its key is not in the environment ({}, {})", credentials::APP_ID, credentials::APP_KEY_BASE64)
    })?;
    let view = known(app.app().await)?;
    let owner = repository.split('/').next().unwrap_or_default();
    let installed = known(app.installations().await)?;
    let page = view.html_url.clone();
    let Some(found) = installed.into_iter().find(|found| found.account.eq_ignore_ascii_case(owner)) else {
        return Ok(AppFacts { lacks: vec![format!("it is not installed in {owner}")], page });
    };
    let needs = app_needs(policy.map(|policy| policy.webhook));
    let mut lacks: Vec<String> =
        missing(&found.permissions, &found.events, &needs).iter().map(ToString::to_string).collect();
    if policy.is_some_and(|policy| policy.approval.team.is_some()) {
        let states = feature_states(&found.permissions, &found.events, &needs);
        let teams = states.into_iter().filter(|state| state.feature == Feature::Teams);
        lacks.extend(teams.flat_map(|state| state.lacks).map(|lack| format!("{} needs {lack}", Feature::Teams)));
    }
    if found.suspended {
        lacks.push(format!("somebody has suspended it in {owner}"));
    }
    Ok(AppFacts { lacks, page: if found.html_url.is_empty() { page } else { found.html_url } })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn an_app_needs_events_only_where_its_own_webhook_may_bring_them() {
        let lacks_events = |webhook| {
            let lacks = missing(&BTreeMap::new(), &[], &app_needs(webhook));
            lacks.iter().any(|lack| lack.to_string().contains("event"))
        };
        assert!(lacks_events(None) && lacks_events(Some(WebhookTarget::App)));
        assert!(!lacks_events(Some(WebhookTarget::None)) && !lacks_events(Some(WebhookTarget::Organization)));
    }

    #[test]
    fn a_policy_that_no_run_would_use_is_not_called_usable() {
        let policy = include_str!("../../../issueops/tests/support/policy.toml");
        assert!(usable(policy, "acme/control").is_ok());
        let by_url = policy.replace("../../modules/runnersmith", "git::https://github.com/acme/control.git//m");
        assert_eq!(usable(&by_url, "Acme/Control").err().as_deref(), Some(FETCHES_ITSELF));
    }
}
