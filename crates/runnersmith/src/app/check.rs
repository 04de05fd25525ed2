//! `runnersmith app check`: an existing App against what it is wanted for.

use std::collections::BTreeSet;

use runnersmith_config::{Config, Provisioning};
use runnersmith_github::GitHubClient;
use runnersmith_github::app_admin::{AppView, InstallationView};
use runnersmith_github::webhook_admin::HookConfig;
use runnersmith_github_app::{AppProfile, AppRunners, Missing, Needs, PLACEHOLDER_URL, feature_states, superfluous};
use runnersmith_ports::GitHubError;
use runnersmith_ports::chain;
use runnersmith_types::{HookAddress, Owner, RunnerScope, ScopeLevel};
use serde::Serialize;

use crate::app::options::Check;
use crate::app::{Known, client, outside, plain};
use crate::exit::{CommandFailure, ExitStatus};
use crate::report;

/// What was found.
#[derive(Serialize)]
struct Found {
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<Named>,
    features: Vec<FeatureFound>,
    problems: Vec<Problem>,
    superfluous: Vec<String>,
}

#[derive(Serialize)]
struct Named {
    id: u64,
    slug: String,
    url: String,
    /// Where its permissions are changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    settings_url: Option<String>,
}

#[derive(Serialize)]
struct FeatureFound {
    feature: &'static str,
    title: String,
    needed: bool,
    works: bool,
    lacks: Vec<String>,
}

/// Something beside the features.
#[derive(Serialize)]
struct Problem {
    /// A stable word.
    kind: &'static str,
    what: String,
    hint: String,
    /// Whether jobs do not run because of it.
    stops: bool,
}

impl Problem {
    fn new(kind: &'static str, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind, what: what.into(), hint: hint.into(), stops: true }
    }
}

impl Found {
    fn is_enough(&self) -> bool {
        self.features.iter().all(|state| state.works || !state.needed) && self.problems.iter().all(|one| !one.stops)
    }
}

/// Looks.
///
/// # Errors
/// When GitHub cannot be asked.
pub async fn command(options: Check) -> Result<ExitStatus, CommandFailure> {
    let known = Known::find(&options.who).await?;
    let needs = options.wanted.needs(known.config.as_ref().map(needs_of));
    let places = known.config.as_ref().map(owners_of).unwrap_or_default();
    let hook = known.github.hook.clone();
    let server_url = known.github.server_url.trim_end_matches('/').to_owned();
    let mut found = look(&client(known.github)?, &needs, &places, hook.as_ref()).await?;
    if let Some(app) = &mut found.app {
        app.settings_url = app.settings_url.take().map(|path| format!("{server_url}{}", plain(&path)));
    }
    if options.json {
        report::json(&found)?;
    } else {
        print(&found);
    }
    Ok(if found.is_enough() { ExitStatus::Success } else { ExitStatus::RequestFailed })
}

/// What a configuration needs.
fn needs_of(config: &Config) -> Needs {
    let any = |test: fn(&runnersmith_types::ScaleSet) -> bool| config.scale_sets.iter().any(test);
    let hook = config.github.webhook.as_ref().map(|hook| &hook.at);
    let requests = config.issueops.as_ref();
    // What is asked for here later becomes a set of an organisation, also if no set is there yet.
    let makes_sets = requests.is_some_and(|requests| requests.provisioning == Provisioning::Embedded);
    Needs {
        organization_runners: makes_sets || any(|set| set.scope.level == ScopeLevel::Organization),
        repository_runners: any(|set| set.scope.level == ScopeLevel::Repository),
        notify: any(|set| set.notify),
        rerun: any(|set| set.rerun_interrupted),
        issueops: requests.is_some(),
        app_webhook: hook.is_none(),
        organization_webhook: matches!(hook, Some(RunnerScope::Organization(_))),
        repository_webhook: matches!(hook, Some(RunnerScope::Repository(_))),
        ..Needs::new(AppProfile::Minimal, AppRunners::Organization)
    }
}

/// Where a configuration expects the App to be installed, as far as it says.
fn owners_of(config: &Config) -> BTreeSet<String> {
    let owner = |at: &RunnerScope| match at {
        RunnerScope::Organization(owner) => Some(owner.to_string()),
        RunnerScope::Repository(repo) => repo.as_str().split('/').next().map(str::to_owned),
        RunnerScope::Enterprise(_) => None,
    };
    config.scale_sets.iter().filter_map(|set| owner(set.scope.at.as_ref()?)).collect()
}

async fn look(
    client: &GitHubClient,
    needs: &Needs,
    places: &BTreeSet<String>,
    hook: Option<&HookAddress>,
) -> Result<Found, CommandFailure> {
    let app = match client.app().await {
        Ok(app) => app,
        // GitHub says 401 to a key that is not the App's, and 404 to an App that it does not know.
        Err(error @ (GitHubError::Unauthorized { .. } | GitHubError::NotFound { .. })) => {
            let hint = "is it the App ID of this App, on this server, and a private key that was not deleted on the App's page?";
            let problem = Problem::new("credentials", chain(&error), hint);
            return Ok(Found { app: None, features: Vec::new(), problems: vec![problem], superfluous: Vec::new() });
        }
        Err(error) => return Err(outside(&error)),
    };
    let features = feature_states(&app.permissions, &app.events, needs).into_iter().map(|state| FeatureFound {
        feature: state.feature.word(),
        title: state.feature.to_string(),
        needed: state.needed,
        works: state.lacks.is_empty(),
        lacks: state.lacks.iter().map(ToString::to_string).collect(),
    });
    let installations = client.installations().await.map_err(|error| outside(&error))?;
    let mut problems = of_installations(&app, &installations, needs, places);
    match hook {
        None if needs.app_webhook => {
            let config = client.hook_config().await.map_err(|error| outside(&error))?;
            problems.extend(of_hook(&config));
        }
        Some(HookAddress { at: RunnerScope::Organization(org), id }) => {
            problems.extend(of_organization_hook(client, org, *id, needs).await?);
        }
        None | Some(_) => {}
    }
    Ok(Found {
        features: features.collect(),
        problems,
        superfluous: superfluous(&app.permissions, &app.events, needs).iter().map(ToString::to_string).collect(),
        app: Some(Named {
            id: app.id,
            slug: plain(&app.slug),
            url: plain(&app.html_url),
            settings_url: app.settings_path(),
        }),
    })
}

fn of_installations(
    app: &AppView,
    installations: &[InstallationView],
    needs: &Needs,
    places: &BTreeSet<String>,
) -> Vec<Problem> {
    let install = format!("install it: {}/installations/new", plain(&app.html_url));
    let mut problems = Vec::new();
    if installations.is_empty() {
        problems.push(Problem::new("not_installed", "the App is installed nowhere", &install));
        return problems;
    }
    for place in places {
        if !installations.iter().any(|one| one.account.eq_ignore_ascii_case(place)) {
            let what = format!("the App is not installed in {place}, where a scale set's runners register");
            problems.push(Problem::new("not_installed", what, &install));
        }
    }
    let of_app = lacking(&app.permissions, &app.events, needs);
    for one in installations {
        let (account, page) = (plain(&one.account), plain(&one.html_url));
        if one.suspended {
            let what = format!("the installation in {account} is suspended");
            problems.push(Problem::new("suspended", what, format!("an owner can end that: {page}")));
        }
        // What the App itself lacks is reported already; what only the installation lacks waits for an owner.
        let waiting: Vec<String> = lacking(&one.permissions, &one.events, needs)
            .into_iter()
            .filter(|missing| !of_app.contains(missing) && matches!(missing, Missing::Permission { .. }))
            .map(|missing| missing.to_string())
            .collect();
        if !waiting.is_empty() {
            let what = format!("in {account} an owner must accept new permissions: {}", waiting.join(", "));
            problems.push(Problem::new("not_accepted", what, format!("accept them: {page}/permissions/update")));
        }
    }
    problems
}

fn lacking(permissions: &std::collections::BTreeMap<String, String>, events: &[String], needs: &Needs) -> Vec<Missing> {
    runnersmith_github_app::missing(permissions, events, needs).into_iter().map(|lack| lack.missing).collect()
}

fn of_hook(config: &HookConfig) -> Vec<Problem> {
    let set = "runnersmith app webhook --url https://<host>/webhook sets address, secret and form";
    let mut problems = Vec::new();
    match config.url.as_deref() {
        None => problems.push(Problem::new("no_address", "the App's webhook has no address", set)),
        Some(PLACEHOLDER_URL) => {
            problems.push(Problem::new("no_address", "the App's webhook has no real address yet", set));
        }
        Some(_) => {
            if !config.has_secret {
                problems.push(Problem::new("no_secret", "the App's webhook has no secret: no delivery verifies", set));
            }
            if !config.json {
                problems.push(Problem::new("form", "the App's webhook sends forms, not JSON", set));
            }
        }
    }
    if config.insecure {
        let mut problem =
            Problem::new("insecure", "GitHub does not verify the certificate of the webhook's address", set);
        problem.stops = false;
        problems.push(problem);
    }
    problems
}

async fn of_organization_hook(
    client: &GitHubClient,
    org: &Owner,
    id: u64,
    needs: &Needs,
) -> Result<Vec<Problem>, CommandFailure> {
    let set = format!("runnersmith app webhook --organization {org} --url https://<host>/webhook makes or corrects it");
    let hooks = match client.organization_hooks(org).await {
        Ok(hooks) => hooks,
        // That the permission is missing is reported as a feature; that it is not installed, as an installation.
        Err(GitHubError::Unauthorized { .. } | GitHubError::NotFound { .. } | GitHubError::NotInstalled { .. }) => {
            let what = format!("the webhook {id} of {org} cannot be looked at");
            return Ok(vec![Problem::new("hook_unseen", what, "see above")]);
        }
        Err(error) => return Err(outside(&error)),
    };
    let Some(hook) = hooks.into_iter().find(|hook| hook.id == id) else {
        return Ok(vec![Problem::new("no_hook", format!("{org} has no webhook {id}"), set)]);
    };
    let mut problems = of_hook(&hook.config);
    if !hook.active {
        problems.push(Problem::new("inactive", format!("the webhook {id} of {org} is not active"), set.clone()));
    }
    let wanted = Needs { app_webhook: true, ..*needs }.events();
    let sends = |event: &&str| hook.events.iter().any(|own| own == event || own == "*");
    let silent: Vec<&str> = wanted.into_iter().filter(|event| !sends(event)).collect();
    if !silent.is_empty() {
        let what = format!("the webhook {id} of {org} does not send {}", silent.join(", "));
        problems.push(Problem::new("events", what, set));
    }
    Ok(problems)
}

fn print(found: &Found) {
    if let Some(app) = &found.app {
        report::line(&format!("App {} (id {}): {}", app.slug, app.id, app.url));
    }
    for state in &found.features {
        let lacks = state.lacks.join(", ");
        match (state.needed, state.works) {
            (true, true) => report::line(&format!("  works      {}", state.title)),
            (true, false) => report::line(&format!("  MISSING    {}: {lacks}", state.title)),
            (false, true) => report::line(&format!("  possible   {} (not asked for)", state.title)),
            (false, false) => report::line(&format!("  off        {} (it would need {lacks})", state.title)),
        }
    }
    for problem in &found.problems {
        let word = if problem.stops { "PROBLEM" } else { "warning" };
        report::line(&format!("  {word}    {}", problem.what));
        report::line(&format!("             {}", problem.hint));
    }
    for extra in &found.superfluous {
        report::line(&format!("  too much   {extra}"));
    }
    let lacks = found.features.iter().any(|state| state.needed && !state.works);
    if let (true, Some(settings)) = (lacks, found.app.as_ref().and_then(|app| app.settings_url.as_ref())) {
        report::line(&format!("add permissions and events at {settings}/permissions"));
    }
    let end =
        if found.is_enough() { "everything that is needed is there" } else { "something that is needed is missing" };
    report::line(end);
}
