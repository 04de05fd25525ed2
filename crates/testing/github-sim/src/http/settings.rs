//! A repository's settings over HTTP, as far as somebody looks whether they are right. Nothing is changed here.

use serde_json::{Value, json};

use crate::forms::board::{commit, label};
use crate::forms::objects::{organization as shown_organization, user};
use crate::http::answer::{Answer, Query, page, paged};
use crate::http::call::Call;
use crate::rules::people::may;
use crate::state::State;
use crate::state::actor::{Actor, Via};
use crate::state::board::{BranchRules, DEFAULT_BRANCH};
use crate::state::setup::{ClassicProtection, EnvironmentSetup, RepositorySetup};
use crate::time;

/// Why somebody may not see what only admins may.
fn refused(state: &State, repo: &str, actor: &Actor) -> Option<Answer> {
    match actor.via {
        // An App has been given what it needs.
        Some(Via::App(_)) => None,
        Some(Via::Actions) => Some(Answer::message(403, "Resource not accessible by integration")),
        None if may(state, repo, actor, "admin") => None,
        None => Some(Answer::message(403, "Must have admin rights to Repository.")),
    }
}

/// Everything below `/repos/{owner}/{repo}` that is about its settings; `None` when it is about something else.
pub(crate) fn handle(state: &mut State, call: &Call<'_>) -> Option<Answer> {
    let Call { verb, repo, rest, query, actor, .. } = *call;
    if verb != "GET" {
        return None;
    }
    let setup = state.board.settings(repo).setup.clone();
    let for_admins = |answer: Answer| refused(state, repo, actor).unwrap_or(answer);
    Some(match rest {
        ["rules", "branches", branch @ ..] => rules_of_branch(state, repo, &branch.join("/"), query),
        ["rulesets", id] => ruleset(state, repo, id, actor),
        ["labels", name] => match setup.labels.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            true => Answer::json(200, label(state, repo, name)),
            false => Answer::not_found(),
        },
        ["environments"] => environments(state, repo, &setup, query),
        ["environments", name, more @ ..] => match (setup.environments.get(name), more) {
            (Some(found), ["deployment-branch-policies"]) => branch_policies(found, query),
            (Some(found), ["secrets"]) => for_admins(secrets(found, query)),
            _ => Answer::not_found(),
        },
        ["actions", "permissions"] => for_admins(actions(state, repo, &setup)),
        ["actions", "permissions", "selected-actions"] => for_admins(selected_actions(&setup)),
        ["actions", "permissions", "workflow"] => for_admins(workflow_token(state, repo)),
        ["actions", "workflows", file] => workflow(state, repo, file, &setup),
        ["codeowners", "errors"] => code_owner_errors(&setup),
        ["branches", name, "protection"] => for_admins(protection(state, name, &setup)),
        ["branches", name] => branch(state, repo, name, &setup),
        _ => return None,
    })
}

fn environments(state: &State, repo: &str, setup: &RepositorySetup, query: &Query) -> Answer {
    let shown = |(name, found): (&&str, &EnvironmentSetup)| {
        let mut rules = Vec::new();
        if found.wait_minutes > 0 {
            rules.push(json!({"id": 1, "node_id": "GA_1", "type": "wait_timer", "wait_timer": found.wait_minutes}));
        }
        if found.reviewers > 0 {
            let reviewer = json!({"type": "User", "reviewer": user(state, "octocat")});
            let reviewers = vec![reviewer; found.reviewers];
            let rule = json!({
                "id": 2, "node_id": "GA_2", "type": "required_reviewers", "prevent_self_review": false, "reviewers": reviewers,
            });
            rules.push(rule);
        }
        let is_limited = found.branches.is_some() || found.protected_only;
        if is_limited {
            rules.push(json!({"id": 3, "node_id": "GA_3", "type": "branch_policy"}));
        }
        let policy = is_limited.then(
            || json!({"protected_branches": found.protected_only, "custom_branch_policies": !found.protected_only}),
        );
        let at = format!("{}/repos/{repo}/environments/{name}", state.base);
        json!({
            "id": 1, "node_id": "EN_1", "name": name, "url": at, "html_url": at, "created_at": time::text(0),
            "updated_at": time::text(0), "protection_rules": rules, "deployment_branch_policy": policy,
        })
    };
    paged(setup.environments.iter().map(shown).collect(), "environments", query, false)
}

fn branch_policies(found: &EnvironmentSetup, query: &Query) -> Answer {
    let shown = |name: &&str| json!({"id": 1, "node_id": "DBP_1", "name": name, "type": "branch"});
    paged(found.branches.iter().flatten().map(shown).collect(), "branch_policies", query, false)
}

fn secrets(found: &EnvironmentSetup, query: &Query) -> Answer {
    let shown = |name: &&str| json!({"name": name, "created_at": time::text(0), "updated_at": time::text(0)});
    paged(found.secrets.iter().map(shown).collect(), "secrets", query, false)
}

fn actions(state: &State, repo: &str, setup: &RepositorySetup) -> Answer {
    if setup.actions_off {
        return Answer::json(200, json!({"enabled": false}));
    }
    let mut shown = json!({"enabled": true, "allowed_actions": "all"});
    if setup.selected_actions.is_some() {
        shown["allowed_actions"] = json!("selected");
        shown["selected_actions_url"] =
            json!(format!("{}/repos/{repo}/actions/permissions/selected-actions", state.base));
    }
    Answer::json(200, shown)
}

fn selected_actions(setup: &RepositorySetup) -> Answer {
    match &setup.selected_actions {
        Some((verified, patterns)) => Answer::json(
            200,
            json!({"github_owned_allowed": true, "verified_allowed": verified, "patterns_allowed": patterns}),
        ),
        None => Answer::message(409, "Allowed actions are not set to selected"),
    }
}

fn workflow_token(state: &State, repo: &str) -> Answer {
    let may_not = state.board.settings.get(repo).is_some_and(|settings| settings.no_pulls_by_actions);
    let shown = json!({"default_workflow_permissions": "read", "can_approve_pull_request_reviews": !may_not});
    Answer::json(200, shown)
}

fn workflow(state: &State, repo: &str, file: &str, setup: &RepositorySetup) -> Answer {
    let Some(word) = setup.workflow else { return Answer::not_found() };
    let at = format!("{}/repos/{repo}/actions/workflows/1", state.base);
    let html = format!("{}/{repo}/blob/{DEFAULT_BRANCH}/.github/workflows/{file}", state.base);
    let shown = json!({
        "id": 1, "node_id": "W_1", "name": "Runnersmith", "path": format!(".github/workflows/{file}"), "state": word, "url": at,
        "html_url": html, "badge_url": format!("{html}/badge.svg"), "created_at": time::text(0), "updated_at": time::text(0),
    });
    Answer::json(200, shown)
}

fn code_owner_errors(setup: &RepositorySetup) -> Answer {
    let shown = |message: &&str| {
        json!({
            "line": 1, "column": 3, "kind": "Unknown owner", "source": "* @acme/nobody\n", "message": message,
            "path": ".github/CODEOWNERS",
        })
    };
    let errors: Vec<Value> = setup.code_owner_errors.iter().map(shown).collect();
    Answer::json(200, json!({"errors": errors}))
}

fn shown_protection(state: &State, found: &ClassicProtection) -> Value {
    let checks: Vec<Value> = found.checks.iter().map(|name| json!({"context": name, "app_id": null})).collect();
    let users: Vec<Value> = found.bypass_users.iter().map(|login| user(state, login)).collect();
    let mut shown = json!({
        "required_pull_request_reviews": {
            "dismiss_stale_reviews": !found.keeps_stale_reviews, "require_code_owner_reviews": found.code_owners,
            "required_approving_review_count": found.approvals, "require_last_push_approval": false,
            "bypass_pull_request_allowances": {"users": users, "teams": [], "apps": []},
        },
        "enforce_admins": {"url": format!("{}/enforce_admins", state.base), "enabled": !found.spares_admins},
        "allow_force_pushes": {"enabled": found.force_pushes}, "allow_deletions": {"enabled": found.deletions},
        "required_linear_history": {"enabled": false},
    });
    if !checks.is_empty() {
        shown["required_status_checks"] = json!({"contexts": found.checks, "checks": checks, "strict": false});
    }
    shown
}

fn protection(state: &State, branch: &str, setup: &RepositorySetup) -> Answer {
    match setup.protection.as_ref().filter(|_| branch == DEFAULT_BRANCH) {
        Some(found) => Answer::json(200, shown_protection(state, found)),
        None => Answer::message(404, "Branch not protected"),
    }
}

fn branch(state: &State, repo: &str, name: &str, setup: &RepositorySetup) -> Answer {
    let found = state.board.branch(repo, name).and_then(|sha| commit(state, repo, sha));
    let Some(commit) = found else { return Answer::message(404, "Branch not found") };
    // By rules as well, which `/protection` does not show.
    let rules = state.board.settings.get(repo).map(|settings| &settings.rules);
    let has_rules = rules.is_some_and(|rules| !rules.not_offered && *rules != BranchRules::default());
    let is_protected = (setup.protection.is_some() || has_rules) && name == DEFAULT_BRANCH;
    let at = format!("{}/repos/{repo}/branches/{name}", state.base);
    let shown = json!({
        "name": name, "commit": commit, "_links": {"self": at, "html": format!("{}/{repo}/tree/{name}", state.base)},
        "protected": is_protected, "protection": {"enabled": is_protected}, "protection_url": format!("{at}/protection"),
    });
    Answer::json(200, shown)
}

/// An organisation; its plan where who asks may see it.
pub(crate) fn organization(state: &State, org: &str) -> Answer {
    if !state.owners.get(org).is_some_and(|(_, is_org)| *is_org) {
        return Answer::not_found();
    }
    let mut shown = shown_organization(state, org);
    let more = json!({
        "html_url": format!("{}/{org}", state.base), "has_organization_projects": true, "has_repository_projects": true,
        "public_repos": 0, "public_gists": 0, "followers": 0, "following": 0, "type": "Organization",
        "created_at": time::text(0), "updated_at": time::text(0), "archived_at": null,
    });
    if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
        shown.extend(more);
    }
    let of_org = state.board.settings.iter().filter(|(repo, _)| repo.split('/').next() == Some(org));
    if let Some(plan) = of_org.filter_map(|(_, settings)| settings.setup.plan).next() {
        shown["plan"] = json!({"name": plan, "space": 1, "private_repos": 1, "seats": 1, "filled_seats": 1});
    }
    Answer::json(200, shown)
}

/// The number of the one ruleset that a repository has here.
const RULESET: u64 = 7;

/// The ruleset; whom it does not bind is shown to admins alone.
fn ruleset(state: &mut State, repository: &str, id: &str, actor: &Actor) -> Answer {
    let rules = state.board.settings(repository).rules.clone();
    if id != RULESET.to_string() || rules.not_offered {
        return Answer::not_found();
    }
    let mut shown = json!({
        "id": RULESET, "name": "main", "target": "branch", "source_type": "Repository", "source": repository,
        "enforcement": "active", "node_id": "RRS_7", "created_at": time::text(0), "updated_at": time::text(0),
        "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
    });
    if actor.via.is_none() && may(state, repository, actor, "admin") {
        let actor = |(kind, id, mode): &(&str, Option<u64>, &str)| json!({"actor_id": id, "actor_type": kind, "bypass_mode": mode});
        shown["bypass_actors"] = rules.bypass.iter().map(actor).collect();
    }
    Answer::json(200, shown)
}

/// The rules of a branch, as rulesets have them; classic protection is not among them.
fn rules_of_branch(state: &mut State, repository: &str, branch: &str, query: &Query) -> Answer {
    let rules = state.board.settings(repository).rules.clone();
    if rules.not_offered {
        return Answer::message(403, "Upgrade to GitHub Pro or make this repository public to enable this feature.");
    }
    let of = |kind: &str, parameters: Value| {
        let mut rule = json!({
            "type": kind, "ruleset_source_type": "Repository", "ruleset_source": repository, "ruleset_id": RULESET,
        });
        if !parameters.is_null() {
            rule["parameters"] = parameters;
        }
        rule
    };
    let mut all = Vec::new();
    if branch == DEFAULT_BRANCH {
        all.extend(rules.linear_history.then(|| of("required_linear_history", Value::Null)));
        all.extend(rules.no_force_pushes.then(|| of("non_fast_forward", Value::Null)));
        all.extend(rules.no_deletion.then(|| of("deletion", Value::Null)));
        if rules.merge_methods.is_some() || rules.pull_request.is_some() {
            let methods = rules.merge_methods.unwrap_or_else(|| vec!["merge", "squash", "rebase"]);
            let (approvals, code_owners) = rules.pull_request.unwrap_or_default();
            all.push(of("pull_request", json!({
                "dismiss_stale_reviews_on_push": !rules.keeps_stale_reviews, "require_code_owner_review": code_owners,
                "require_last_push_approval": rules.last_push_approval,
                "required_approving_review_count": approvals, "required_review_thread_resolution": false,
                "allowed_merge_methods": methods,
            })));
        }
        all.extend(rules.merge_queue.then(|| {
            of("merge_queue", json!({
                "check_response_timeout_minutes": 60, "grouping_strategy": "ALLGREEN", "max_entries_to_build": 5,
                "max_entries_to_merge": 5, "merge_method": "MERGE", "min_entries_to_merge": 1, "min_entries_to_merge_wait_minutes": 5,
            }))
        }));
        if !rules.required_checks.is_empty() {
            let checks: Vec<Value> = rules.required_checks.iter().map(|name| json!({"context": name})).collect();
            all.push(of(
                "required_status_checks",
                json!({
                    "required_status_checks": checks, "strict_required_status_checks_policy": false,
                }),
            ));
        }
    }
    page(all, query)
}
