//! Which jobs and repositories are ours: the webhook, the sweep and the look-ups ask the same questions.

use crate::support::*;
use runnersmith_plan::route;
use runnersmith_types::{JobFact, JobStatus, Label, Owner, RepoFullName, RepoPattern, RunnerScope, ScaleSet, Scope};

fn fact(labels: &[&str], runner: Option<&str>) -> JobFact {
    let labels = labels.iter().map(|label| Label::of_job(label)).collect();
    JobFact { labels, runner_name: runner.map(str::to_owned), ..job(1, JobStatus::Queued).fact }
}

fn with_scope(at: Option<RunnerScope>, allowed: &[&str]) -> ScaleSet {
    let allowed = allowed.iter().map(|pattern| RepoPattern((*pattern).to_owned())).collect();
    let policy = policy();
    ScaleSet { scope: Scope { at, allowed, ..policy.scope.clone() }, ..policy }
}

#[test]
fn a_sweep_keeps_what_a_set_can_serve_or_has_and_a_webhook_what_asks_for_a_self_hosted_runner_too() {
    let policy = policy();
    let own: Vec<&str> = policy.labels.iter().map(Label::as_str).collect();
    let runner = format!("{}-abcdef-1", policy.name);
    for (labels, runner, swept, delivered) in [
        (own.as_slice(), None, true, true),
        (&["ubuntu-latest"], None, false, false),
        (&["self-hosted", "arc-runner-set"], None, false, true),
        (&["ubuntu-latest"], Some("GitHub Actions 7"), false, false),
        (&["changed", "meanwhile"], Some(runner.as_str()), true, false),
        (&["self-hosted", "other"], Some("other-abcdef-1"), false, true),
    ] {
        let fact = fact(labels, runner);
        assert_eq!(route::is_ours(&fact, &[&policy]), swept, "{labels:?} {runner:?}");
        assert_eq!(route::reject_at_intake(&fact, &[&policy]).is_none(), delivered, "{labels:?} {runner:?}");
    }
}

#[test]
fn a_repository_may_be_served_where_the_set_registers_and_what_it_allows() {
    let repo = |name: &str| RepoFullName::parse(name).unwrap();
    let org = |name: &str| Some(RunnerScope::Organization(Owner::parse(name).unwrap()));
    for (at, allowed, wanted, serves, serves_owner) in [
        (None, &[][..], "acme/shop", true, true),
        (org("ACME"), &[], "acme/shop", true, true),
        (org("globex"), &[], "acme/shop", false, false),
        (None, &["acme/shop", "globex/*"], "acme/shop", true, true),
        (None, &["globex/*"], "acme/shop", false, true),
        (Some(RunnerScope::Repository(repo("acme/Shop"))), &[], "acme/shop", true, true),
        (Some(RunnerScope::Repository(repo("acme/other"))), &[], "acme/shop", false, true),
        (Some(RunnerScope::Enterprise(Owner::parse("inc").unwrap())), &[], "acme/shop", true, true),
    ] {
        let policy = with_scope(at.clone(), allowed);
        assert_eq!(route::may_serve(&policy, &repo(wanted)), serves, "{at:?} {allowed:?} {wanted}");
        assert_eq!(route::may_serve_owner(&policy, &repo(wanted).owner()), serves_owner, "{at:?} {wanted}");
    }
}

#[test]
fn the_fingerprint_of_the_sets_is_another_one_when_they_serve_other_jobs() {
    let one = route::fingerprint(&[policy()]);
    assert_eq!(one, route::fingerprint(&[ScaleSet { runners_max: 99, ..policy() }]));
    let more = ScaleSet { labels: labels(&["self-hosted", "gpu"]), ..policy() };
    for other in [vec![], vec![more.clone()], vec![policy(), more], vec![with_scope(None, &["acme/shop"])]] {
        assert_ne!(one, route::fingerprint(&other));
    }
}
