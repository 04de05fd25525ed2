//! Which scale set a job goes to. It is apart because the webhook, the planner and the notification must all give the same answer.

use std::fmt;

use runnersmith_types::{
    JobFact, Label, Owner, OwnerKind, RepoFullName, RunnerScope, ScaleSet, ScaleSetName, ScopeLevel, Target,
};

/// A set that can serve a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The set.
    pub set: ScaleSetName,
    /// Where the runner would register.
    pub target: Target,
    /// Labels of the set that the job does not ask for: fewer is more specific.
    pub surplus: usize,
}

/// Why no set can serve a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSet(pub String);

impl fmt::Display for NoSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The sets that can serve a job, best first: fewest surplus labels, then priority, then name.
///
/// # Errors
/// When none can; the error names the nearest set and what it lacks.
pub fn candidates(fact: &JobFact, policies: &[&ScaleSet]) -> Result<Vec<Candidate>, NoSet> {
    let mut found: Vec<(usize, i32, Candidate)> = Vec::new();
    let mut nearest: Option<(usize, String)> = None;
    for policy in policies {
        match serves(fact, policy) {
            Ok(target) => {
                let surplus = policy.labels.iter().filter(|label| !fact.labels.contains(label)).count();
                found.push((surplus, -policy.priority, Candidate { set: policy.name.clone(), target, surplus }));
            }
            Err((distance, why)) => {
                if nearest.as_ref().is_none_or(|(least, _)| distance < *least) {
                    nearest = Some((distance, why));
                }
            }
        }
    }
    if found.is_empty() {
        return Err(NoSet(nearest.map_or_else(|| "there is no scale set".to_owned(), |(_, why)| why)));
    }
    found.sort_by(|a, b| (a.0, a.1, &a.2.set).cmp(&(b.0, b.1, &b.2.set)));
    Ok(found.into_iter().map(|(_, _, candidate)| candidate).collect())
}

/// The label that says "not one of GitHub's own runners".
const SELF_HOSTED: &str = "self-hosted";

/// Where the runners of a set that serves a job register.
#[must_use]
pub fn place(policy: &ScaleSet, fact: &JobFact) -> RunnerScope {
    let of_repository = policy.scope.level == ScopeLevel::Repository || fact.owner_kind == OwnerKind::User;
    match &policy.scope.at {
        Some(at) => at.clone(),
        None if of_repository => RunnerScope::Repository(fact.repo.clone()),
        None => RunnerScope::Organization(fact.repo.owner()),
    }
}

/// Whether a job that no set serves may be a matter of ours at all: it asks for a self-hosted runner.
pub(crate) fn asks_for_self_hosted(fact: &JobFact) -> bool {
    fact.labels.iter().any(|label| label.as_str() == SELF_HOSTED)
}

/// Returns the set whose pass posts all notifications, those of jobs that no set serves included: the first by name that notifies.
/// So a commit's check run has one writer, which the set's lease makes sure of. Where no set notifies, the first by name says at
/// least in the plan what is not served. A set that can serve nothing, such as one that is on its way out, is nobody to ask.
#[must_use]
pub fn notifier<'a>(policies: &[&'a ScaleSet]) -> Option<&'a ScaleSet> {
    let able = policies.iter().filter(|policy| !policy.labels.is_empty() || policy.serves_unlabelled);
    able.min_by_key(|policy| (!policy.notify, &policy.name)).copied()
}

/// Returns why a job that was delivered is not even stored: no set can serve it and it does not ask for a self-hosted runner. A job
/// that asks for one is kept although nothing serves it, so that its author can be notified.
#[must_use]
pub fn reject_at_intake(fact: &JobFact, policies: &[&ScaleSet]) -> Option<String> {
    if asks_for_self_hosted(fact) {
        return None;
    }
    candidates(fact, policies).err().map(|none| format!("no scale set serves it: {none}"))
}

/// Whether a job that a sweep has found is stored: a set can serve it, or the runner of a set has it. A sweep sees all jobs of a
/// repository, and those of GitHub's own runners and of other fleets are not ours.
#[must_use]
pub fn is_ours(fact: &JobFact, policies: &[&ScaleSet]) -> bool {
    let of_set = |set: ScaleSetName| policies.iter().any(|policy| policy.name == set);
    fact.runner().and_then(|runner| runner.set()).is_some_and(of_set) || candidates(fact, policies).is_ok()
}

/// Whether the set may serve jobs of a repository, whatever their labels.
#[must_use]
pub fn may_serve(policy: &ScaleSet, repo: &RepoFullName) -> bool {
    let allowed = &policy.scope.allowed;
    let is_allowed = allowed.is_empty() || allowed.iter().any(|pattern| pattern.covers(repo));
    let is_there = match &policy.scope.at {
        Some(at @ RunnerScope::Repository(_)) => same_place(at, &RunnerScope::Repository(repo.clone())),
        Some(at @ RunnerScope::Organization(_)) => same_place(at, &RunnerScope::Organization(repo.owner())),
        Some(RunnerScope::Enterprise(_)) | None => true,
    };
    is_allowed && is_there
}

/// Whether the set may serve jobs of an owner, whatever their repositories and labels.
#[must_use]
pub fn may_serve_owner(policy: &ScaleSet, owner: &Owner) -> bool {
    match &policy.scope.at {
        Some(RunnerScope::Repository(repo)) => repo.owner().as_str().eq_ignore_ascii_case(owner.as_str()),
        Some(RunnerScope::Organization(at)) => at.as_str().eq_ignore_ascii_case(owner.as_str()),
        Some(RunnerScope::Enterprise(_)) | None => true,
    }
}

/// A short text that is another one when the sets serve other jobs than before.
#[must_use]
pub fn fingerprint(policies: &[ScaleSet]) -> String {
    let mut all: Vec<String> = policies
        .iter()
        .map(|set| format!("{} {:?} {} {:?}", set.name, set.labels, set.serves_unlabelled, set.scope))
        .collect();
    all.sort();
    // FNV-1a: that two policies have one value by accident costs one late sweep.
    let hash = all
        .join("\n")
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

/// Whether one set serves the job, and with what target; else how far it is from it, and why.
fn serves(fact: &JobFact, policy: &ScaleSet) -> Result<Target, (usize, String)> {
    let name = &policy.name;
    if fact.labels_cut {
        return Err((1_000, format!("the job has more than {} labels", JobFact::LABELS_MAX)));
    }
    if fact.labels.is_empty() && !policy.serves_unlabelled {
        return Err((500, format!("the job has no labels, and {name} is not marked for such jobs")));
    }
    let missing: Vec<&Label> = fact.labels.iter().filter(|label| !policy.labels.contains(label)).collect();
    if !missing.is_empty() {
        // Each in quotes of its own: a label may hold commas and blanks.
        let shown: Vec<String> = missing.iter().take(5).map(|label| format!("{:?}", label.as_str())).collect();
        return Err((missing.len(), format!("{name} is nearest, its runners lack {}", shown.join(", "))));
    }
    if !policy.scope.allowed.is_empty() && !policy.scope.allowed.iter().any(|pattern| pattern.covers(&fact.repo)) {
        return Err((0, format!("{name} has the labels but does not serve {}", fact.repo)));
    }
    let at = match policy.scope.level {
        ScopeLevel::Repository => RunnerScope::Repository(fact.repo.clone()),
        ScopeLevel::Organization if fact.owner_kind == OwnerKind::User => {
            return Err((
                0,
                format!("{name} registers its runners with an organisation, and {} is a person", fact.repo.owner()),
            ));
        }
        ScopeLevel::Organization => RunnerScope::Organization(fact.repo.owner()),
        ScopeLevel::Enterprise => match &policy.scope.at {
            Some(at) => at.clone(),
            None => return Err((0, format!("{name} is an enterprise set without an enterprise"))),
        },
    };
    match (&policy.scope.at, policy.scope.level) {
        (Some(configured), ScopeLevel::Repository | ScopeLevel::Organization) if !same_place(configured, &at) => {
            Err((0, format!("{name} has the labels but serves {configured} only")))
        }
        // The configured spelling is used, so that one place is one target.
        (Some(configured), _) => Ok(Target { set: name.clone(), at: configured.clone() }),
        (None, _) => Ok(Target { set: name.clone(), at }),
    }
}

/// GitHub compares owners and repositories without case.
fn same_place(a: &RunnerScope, b: &RunnerScope) -> bool {
    a.to_string().eq_ignore_ascii_case(&b.to_string())
}
