//! GitHub's objects, with every field that its OpenAPI document requires.

use serde_json::{Map, Value, json};

use crate::rules::{apps, groups};
use crate::state::State;
use crate::state::actor::{Actor, Via};
use crate::state::apps::Delivery;
use crate::state::runs::{Check, Job, Runner};
use crate::time::{self, text};

/// The commit of every run here.
pub(crate) const HEAD_SHA: &str = "0123456789abcdef0123456789abcdef01234567";

/// A person or organisation as GitHub's "simple user".
pub(crate) fn user(state: &State, login: &str) -> Value {
    let (id, organization) = state.owners.get(login).copied().unwrap_or_else(|| (number_of(login), false));
    let kind = match () {
        () if organization => "Organization",
        () if login.ends_with("[bot]") => "Bot",
        () => "User",
    };
    let in_url = login.replace('[', "%5B").replace(']', "%5D");
    let at = format!("{}/users/{in_url}", state.base);
    json!({
        "login": login, "id": id, "node_id": format!("U_{id}"), "gravatar_id": "",
        "avatar_url": format!("{}/avatars/{id}", state.base), "url": at, "html_url": format!("{}/{in_url}", state.base),
        "followers_url": format!("{at}/followers"), "following_url": format!("{at}/following"), "gists_url": format!("{at}/gists"),
        "starred_url": format!("{at}/starred"), "subscriptions_url": format!("{at}/subscriptions"),
        "organizations_url": format!("{at}/orgs"), "repos_url": format!("{at}/repos"), "events_url": format!("{at}/events"),
        "received_events_url": format!("{at}/received_events"),
        "type": kind, "site_admin": false,
    })
}

/// The number of an account that nobody added, such as a bot's: one for each name.
fn number_of(login: &str) -> u64 {
    login.bytes().fold(1 << 40, |number: u64, byte| (number.wrapping_mul(31).wrapping_add(u64::from(byte))) % (1 << 50))
}

/// An organisation as payloads carry it.
pub(crate) fn organization(state: &State, login: &str) -> Value {
    let id = state.owners.get(login).map_or(1, |(id, _)| *id);
    let at = format!("{}/orgs/{login}", state.base);
    json!({
        "login": login, "id": id, "node_id": format!("O_{id}"), "url": at, "repos_url": format!("{at}/repos"),
        "events_url": format!("{at}/events"), "hooks_url": format!("{at}/hooks"), "issues_url": format!("{at}/issues"),
        "members_url": format!("{at}/members"), "public_members_url": format!("{at}/public_members"),
        "avatar_url": format!("{}/avatars/{id}", state.base), "description": "",
    })
}

/// A repository: the minimal one's fields and those of the full one that payloads require.
pub(crate) fn repository(state: &State, full_name: &str) -> Value {
    let id = state.repositories.get(full_name).copied().unwrap_or(1);
    let (owner, name) = full_name.split_once('/').unwrap_or((full_name, ""));
    let at = format!("{}/repos/{full_name}", state.base);
    let mut repository = Map::new();
    for path in [
        "archive",
        "assignees",
        "blobs",
        "branches",
        "collaborators",
        "comments",
        "commits",
        "compare",
        "contents",
        "contributors",
        "deployments",
        "downloads",
        "events",
        "forks",
        "git_commits",
        "git_refs",
        "git_tags",
        "hooks",
        "issue_comment",
        "issue_events",
        "issues",
        "keys",
        "labels",
        "languages",
        "merges",
        "milestones",
        "notifications",
        "pulls",
        "releases",
        "stargazers",
        "statuses",
        "subscribers",
        "subscription",
        "tags",
        "teams",
        "trees",
    ] {
        repository.insert(format!("{path}_url"), json!(format!("{at}/{path}")));
    }
    let rest = json!({
        "id": id, "node_id": format!("R_{id}"), "name": name, "full_name": full_name, "owner": user(state, owner),
        "private": !state.board.is_public(full_name), "html_url": format!("{}/{full_name}", state.base), "description": null,
        "fork": state.board.settings.get(full_name).is_some_and(|settings| settings.fork_of.is_some()), "url": at,
    });
    if let Value::Object(rest) = rest {
        repository.extend(rest);
    }
    Value::Object(repository)
}

/// A repository with all that one by its name has.
pub(crate) fn full_repository(state: &State, name: &str) -> Value {
    let mut shown = repository(state, name);
    let more = json!({
        "clone_url": format!("{}/{name}.git", state.base), "git_url": format!("git://localhost/{name}.git"), "ssh_url": format!("git@localhost:{name}.git"),
        "svn_url": format!("{}/{name}", state.base), "mirror_url": null, "homepage": null, "language": null, "license": null,
        "forks_count": 0, "stargazers_count": 0, "watchers_count": 0, "size": 1, "default_branch": "main", "open_issues_count": 0,
        "has_issues": true, "has_discussions": false, "topics": [],
        "visibility": if state.board.is_public(name) { "public" } else { "private" }, "has_projects": false, "has_wiki": false, "has_pages": false, "has_downloads": true, "archived": false,
        "disabled": false, "pushed_at": time::text(state.now_ms()), "created_at": time::text(0), "updated_at": time::text(0),
        "forks": 0, "open_issues": 0, "watchers": 0,
    });
    if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
        shown.extend(more);
    }
    shown
}

/// The fields that a job has both in the REST API and in a payload.
fn job_common(state: &State, job: &Job) -> Value {
    let url = format!("{}/repos/{}", state.base, job.repository);
    let runner = job.runner.as_ref();
    json!({
        "id": job.id, "run_id": job.run, "run_url": format!("{url}/actions/runs/{}", job.run), "run_attempt": attempt(state, job.run),
        "node_id": format!("CR_{}", job.id), "head_sha": HEAD_SHA, "head_branch": "main", "url": format!("{url}/actions/jobs/{}", job.id),
        "html_url": format!("{}/{}/actions/runs/{}/job/{}", state.base, job.repository, job.run, job.id),
        "status": if job.status == "pending" { "queued" } else { job.status }, "conclusion": job.conclusion,
        "created_at": text(job.created_ms), "started_at": text(job.started_ms.unwrap_or(job.created_ms)),
        "completed_at": job.completed_ms.map(text), "name": job.spec.name, "steps": [],
        "check_run_url": format!("{url}/check-runs/{}", job.id), "labels": job.spec.labels,
        "runner_id": runner.map(|(id, _)| *id), "runner_name": runner.map(|(_, name)| name.clone()),
        "runner_group_id": runner.map(|_| job.group), "runner_group_name": runner.map(|_| groups::name(state, job.group)), "workflow_name": job.workflow,
    })
}

/// A job as the REST API shows it.
pub(crate) fn job(state: &State, job: &Job) -> Value {
    job_common(state, job)
}

/// A job as a payload carries it.
pub(crate) fn workflow_job(state: &State, job: &Job) -> Value {
    job_common(state, job)
}

/// A run's attempt, from 1: GitHub counts one when it accepts a re-run.
fn attempt(state: &State, run: u64) -> u64 {
    state.attempts.get(&run).copied().unwrap_or(1)
}

/// A workflow run.
pub(crate) fn run(state: &State, id: u64) -> Value {
    let (full_name, name) = state.runs.get(&id).cloned().unwrap_or_default();
    let at = format!("{}/repos/{full_name}/actions/runs/{id}", state.base);
    let jobs: Vec<&Job> = state.jobs.values().filter(|job| job.run == id).collect();
    let created = jobs.iter().map(|job| job.created_ms).min().unwrap_or(0);
    let over = jobs.iter().all(|job| job.status == "completed");
    let begun = jobs.iter().any(|job| job.started_ms.is_some());
    let failed = jobs.iter().any(|job| job.conclusion.as_deref() == Some("failure"));
    let status = if over {
        "completed"
    } else if begun {
        "in_progress"
    } else {
        "queued"
    };
    let said = state.board.runs.get(&id);
    let (status, attempt) = said.map_or((status, attempt(state, id)), |(status, attempt)| (status.as_str(), *attempt));
    let over = status == "completed";
    let cancelled = jobs.iter().any(|job| job.conclusion.as_deref() == Some("cancelled"));
    let conclusion = over.then_some(match (failed, cancelled) {
        (true, _) => "failure",
        (false, true) => "cancelled",
        (false, false) => "success",
    });
    let mut run = json!({
        "id": id, "name": name, "node_id": format!("WFR_{id}"), "head_branch": "main", "head_sha": HEAD_SHA,
        "path": ".github/workflows/test.yml", "display_title": name, "run_number": id, "run_attempt": attempt, "event": "workflow_dispatch",
        "status": status, "conclusion": conclusion, "workflow_id": 1, "check_suite_id": id, "check_suite_node_id": format!("CS_{id}"),
        "url": at, "html_url": format!("{}/{full_name}/actions/runs/{id}", state.base), "pull_requests": [],
        "created_at": text(created), "updated_at": text(created), "run_started_at": text(created),
        "head_commit": {"id": HEAD_SHA, "tree_id": HEAD_SHA, "message": "a commit", "timestamp": text(created),
            "author": {"name": "someone", "email": "someone@example.org"}, "committer": {"name": "someone", "email": "someone@example.org"}},
        "repository": repository(state, &full_name), "head_repository": repository(state, &full_name),
    });
    for path in ["jobs", "logs", "check_suite", "artifacts", "cancel", "rerun", "workflow"] {
        run[format!("{path}_url")] = json!(format!("{at}/{path}"));
    }
    run["previous_attempt_url"] = Value::Null;
    run
}

/// Whether a run has this status.
pub(crate) fn run_status(state: &State, id: u64) -> String {
    run(state, id)["status"].as_str().unwrap_or_default().to_owned()
}

/// A registration.
pub(crate) fn runner(runner: &Runner, stale: bool) -> Value {
    let labels: Vec<Value> = runner
        .labels
        .iter()
        .enumerate()
        .map(|(n, name)| json!({"id": n + 1, "name": name, "type": "custom"}))
        .collect();
    json!({
        "id": runner.id, "name": runner.name, "os": if runner.session.is_some() { "linux" } else { "unknown" },
        "status": if runner.session.is_some() { "online" } else { "offline" },
        "busy": runner.job.is_some() && !stale, "labels": labels, "runner_group_id": runner.group, "ephemeral": runner.ephemeral,
    })
}

/// The runner group that every owner has.
pub(crate) fn group(state: &State, owner: &str) -> Value {
    let enterprise = owner.starts_with("enterprises/");
    let place = if enterprise { owner.to_owned() } else { format!("orgs/{owner}") };
    let mut group = json!({
        "id": 1, "name": state.board.default_groups.get(owner).map_or("Default", String::as_str), "visibility": "all", "default": true,
        "runners_url": format!("{}/{place}/actions/runner-groups/1/runners", state.base), "allows_public_repositories": false,
        "restricted_to_workflows": false, "selected_workflows": [], "workflow_restrictions_read_only": false,
    });
    if !enterprise {
        group["inherited"] = json!(false);
    }
    group
}

/// The App.
pub(crate) fn app(state: &State, id: u64) -> Value {
    let slug = state.apps.get(&id).map(|app| app.app.slug.clone()).unwrap_or_default();
    let first = || state.owners.keys().next().map_or("nobody", String::as_str).to_owned();
    let (name, owner, home) =
        apps::card(state, id).unwrap_or_else(|| (slug.clone(), first(), format!("{}/", state.base)));
    let (permissions, events) = apps::of_app(state, id);
    json!({
        "id": id, "slug": slug, "node_id": format!("A_{id}"), "client_id": format!("Iv1.{id:016x}"), "name": name, "description": null,
        "owner": user(state, &owner), "external_url": home, "html_url": format!("{}/apps/{slug}", state.base),
        "created_at": text(0), "updated_at": text(0), "events": events, "permissions": permissions,
    })
}

/// The App that something was done through, as comments show it.
pub(crate) fn app_of(state: &State, actor: &Actor) -> Value {
    match actor.via {
        Some(Via::App(found)) => app(state, found),
        Some(Via::Actions) => actions_app(state),
        None => Value::Null,
    }
}

/// An installation.
pub(crate) fn installation(state: &State, id: u64) -> Value {
    let (app_id, owner) = state.installations.get(&id).cloned().unwrap_or_default();
    let account = user(state, &owner);
    let kind = account["type"].clone();
    let (permissions, events) = apps::of_installation(state, id).unwrap_or_default();
    let at = format!("{}/app/installations/{id}", state.base);
    let is_suspended = state.suspended.contains(&id);
    json!({
        "id": id, "account": account, "access_tokens_url": format!("{at}/access_tokens"),
        "repositories_url": format!("{}/installation/repositories", state.base),
        "html_url": format!("{}/settings/installations/{id}", state.base), "app_id": app_id, "target_id": 1, "target_type": kind,
        "permissions": permissions, "events": events,
        "created_at": text(0), "updated_at": text(0), "single_file_name": null, "repository_selection": "all",
        "app_slug": state.apps.get(&app_id).map(|app| app.app.slug.clone()).unwrap_or_default(),
        "suspended_by": is_suspended.then(|| user(state, &owner)), "suspended_at": is_suspended.then(|| text(state.now_ms())),
    })
}

/// A line of the delivery log.
pub(crate) fn delivery(delivery: &Delivery) -> Value {
    json!({
        "id": delivery.id, "guid": delivery.guid, "delivered_at": text(delivery.at_ms), "redelivery": delivery.redelivery,
        "duration": 0.1, "status": if delivery.status < 300 { "OK" } else { "failed" }, "status_code": delivery.status,
        "event": delivery.event, "action": Some(&delivery.action).filter(|action| !action.is_empty()), "installation_id": null, "repository_id": null, "throttled_at": null,
    })
}

/// A check run.
pub(crate) fn check(state: &State, check: &Check) -> Value {
    let app = state.apps.keys().next().copied().unwrap_or(1);
    let url = format!("{}/repos/{}/check-runs/{}", state.base, check.repository, check.id);
    json!({
        "id": check.id, "head_sha": check.head_sha, "node_id": format!("CR_{}", check.id), "external_id": "", "url": url,
        "html_url": format!("{}/{}/runs/{}", state.base, check.repository, check.id), "details_url": url,
        "status": check.status, "conclusion": check.conclusion, "started_at": text(check.started_ms),
        "completed_at": check.conclusion.as_ref().map(|_| text(check.started_ms)),
        "output": {"title": check.title, "summary": check.summary, "text": null, "annotations_count": 0, "annotations_url": format!("{url}/annotations")},
        "name": check.name, "check_suite": {"id": 1}, "app": self::app(state, app), "pull_requests": [],
    })
}

/// The check run that GitHub Actions makes for a job; it has the job's number.
pub(crate) fn check_run_of_job(state: &State, id: u64, job: &Value) -> Value {
    let at = format!("{}/repos/actions/check-runs/{id}", state.base);
    let suite = json!({
        "id": 1, "node_id": "CS_1", "head_branch": "main", "head_sha": job["head_sha"], "status": "queued", "conclusion": null,
        "url": at, "before": null, "after": null, "pull_requests": [], "app": actions_app(state),
        "created_at": text(0), "updated_at": text(0),
    });
    json!({
        "id": id, "node_id": format!("CR_{id}"), "head_sha": job["head_sha"], "external_id": "", "url": at, "html_url": at,
        "details_url": at, "status": "queued", "conclusion": null, "started_at": job["created_at"], "completed_at": null,
        "output": {"title": null, "summary": null, "text": null, "annotations_count": 0, "annotations_url": format!("{at}/annotations")},
        "name": job["name"], "check_suite": suite, "app": actions_app(state), "pull_requests": [],
    })
}

pub(crate) fn actions_app(state: &State) -> Value {
    json!({
        "id": 15_368, "slug": "github-actions", "node_id": "A_15368", "client_id": "Iv1.actions", "name": "GitHub Actions",
        "description": "Automate your workflow from idea to production", "owner": user(state, "github"),
        "external_url": "https://help.github.com/en/actions", "html_url": format!("{}/apps/github-actions", state.base),
        "created_at": text(0), "updated_at": text(0), "permissions": {"actions": "write"}, "events": ["check_run"],
    })
}
