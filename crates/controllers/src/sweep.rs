//! Jobs that no delivery reported, found by asking GitHub.
//!
//! GitHub does not try every delivery, and does not say which one it forgot. So repositories with a job in the last day are searched
//! every few minutes, at once when deliveries fail, and all others in a slow round. Where both are is stored
//! ([`ActiveRepositories`], [`SweepRound`]): a process that ends, or a function that has no time left, loses nothing of it.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use runnersmith_plan::route;
use runnersmith_ports::{GitHubError, LedgerError, chain};
use runnersmith_types::{ActiveRepositories, Owner, OwnerPage, RepoFullName, ScaleSet, SearchStep, SweepRound};

use crate::consume::{self, Consumed};
use crate::redelivery::{self, Failures};
use crate::stored;
use crate::world::World;

/// Repositories that are searched at once: enough to hide GitHub's latency, few enough for its secondary limits.
const AT_ONCE: usize = 4;
/// So many of the newest jobs say which repositories are active.
const RECENT_JOBS: usize = 500;
const ACTIVE: &str = "sweep_active";
const ROUND: &str = "sweep_round";

/// Searches the repositories whose turn it is for queued jobs that no delivery reported. Returns the sets that should be reconciled, and
/// which repositories' jobs could not be recorded; those delay no others. GitHub's failures are logged, and the next round goes on.
/// `period` is how often this is called: turns and pace follow from it.
///
/// # Errors
/// When the ledger does not say whose turn it is, or does not take that down.
pub async fn sweep(world: &World, period: Duration) -> Result<Consumed, LedgerError> {
    let mut sweeper = Sweeper {
        world,
        period,
        failures: redelivery::failures(world).await?,
        policies: world.sets.load().iter().cloned().collect(),
        out_of_reach: BTreeSet::new(),
        swept: Consumed::default(),
    };
    sweeper.active().await?;
    sweeper.round().await?;
    Ok(sweeper.swept)
}

/// What came of a call.
enum Came<T> {
    Found(T),
    /// There is nothing to find, and asking again does not help.
    Nothing,
    /// The owner's limit: nothing more of that owner now.
    Limited,
    /// Another try may help.
    Failed,
}

fn came<T>(answer: Result<T, GitHubError>, what: &dyn std::fmt::Display) -> Came<T> {
    let error = match answer {
        Ok(found) => return Came::Found(found),
        Err(error) => error,
    };
    match &error {
        GitHubError::RateLimited { .. } => {
            tracing::info!(error = %chain(&error), what = %what, "a sweep waits for GitHub's limit");
            Came::Limited
        }
        GitHubError::Transient { .. } => {
            tracing::warn!(error = %chain(&error), what = %what, "could not be swept; it is tried again");
            Came::Failed
        }
        GitHubError::NotFound { .. } | GitHubError::NotInstalled { .. } => Came::Nothing,
        GitHubError::Conflict { .. }
        | GitHubError::Busy { .. }
        | GitHubError::Refused { .. }
        | GitHubError::Unauthorized { .. } => {
            tracing::warn!(error = %chain(&error), what = %what, "cannot be swept");
            Came::Nothing
        }
    }
}

/// One round of the timer.
struct Sweeper<'w> {
    world: &'w World,
    period: Duration,
    failures: Failures,
    policies: Vec<ScaleSet>,
    /// Owners whose limit was hit: nothing more is asked of them in this round.
    out_of_reach: BTreeSet<Owner>,
    swept: Consumed,
}

impl Sweeper<'_> {
    /// Searches repositories at once and keeps what is found. Returns what came of each.
    async fn search(&mut self, repos: &[RepoFullName]) -> Vec<Came<()>> {
        let github = self.world.ports.github.as_ref();
        let answers = join_all(repos.iter().map(|repo| github.sweep(repo))).await;
        let mut all = Vec::with_capacity(repos.len());
        for (repo, answer) in repos.iter().zip(answers) {
            all.push(match came(answer, repo) {
                Came::Found(facts) => match consume::keep_swept(self.world, facts, &mut self.swept.woken).await {
                    Ok(()) => Came::Found(()),
                    Err(error) => {
                        let error = chain(&error);
                        tracing::error!(error, repo = %repo, "what a sweep found could not be recorded");
                        self.swept.failed.push(format!("{repo}: {error}"));
                        Came::Failed
                    }
                },
                Came::Nothing => Came::Nothing,
                Came::Limited => {
                    self.out_of_reach.insert(repo.owner());
                    Came::Limited
                }
                Came::Failed => Came::Failed,
            });
        }
        all
    }

    fn may_serve(&self, repo: &RepoFullName) -> bool {
        self.policies.iter().any(|policy| route::may_serve(policy, repo))
    }

    /// Repositories with a job in the last day whose turn it is.
    async fn active(&mut self) -> Result<(), LedgerError> {
        let (ledger, clock) = (self.world.ports.ledger.as_ref(), self.world.ports.clock.as_ref());
        let mut active: ActiveRepositories = stored::read(ledger, ACTIVE).await?.unwrap_or_default();
        let jobs = ledger.recent_jobs(RECENT_JOBS).await?;
        active.learn(jobs.into_iter().map(|job| (job.fact.repo, job.first_seen_at)), clock.now());
        let mut due = active.due(self.failures.failed_at, self.period, clock.now());
        due.retain(|repo| self.may_serve(repo));
        let mut due = std::collections::VecDeque::from(due);
        while !due.is_empty() {
            let mut chunk = Vec::with_capacity(AT_ONCE);
            while chunk.len() < AT_ONCE
                && let Some(repo) = due.pop_front()
            {
                if !self.out_of_reach.contains(&repo.owner()) {
                    chunk.push(repo);
                }
            }
            for (repo, came) in chunk.iter().zip(self.search(&chunk).await) {
                if matches!(came, Came::Found(()) | Came::Nothing) {
                    active.swept(repo, clock.now());
                }
            }
            stored::write(ledger, ACTIVE, &active).await?;
        }
        Ok(())
    }

    /// The steps of the slow round that are due.
    async fn round(&mut self) -> Result<(), LedgerError> {
        let (ledger, clock) = (self.world.ports.ledger.as_ref(), self.world.ports.clock.as_ref());
        let serves = route::fingerprint(&self.policies);
        let known: Option<SweepRound> = stored::read(ledger, ROUND).await?;
        let (lost_at, now) = (self.failures.lost_at, clock.now());
        let known = known.filter(|round| !round.gives_way(&serves, lost_at, self.period, now));
        let mut round = known.unwrap_or_else(|| SweepRound::hurried(serves, now));
        let until = round.done.saturating_add(round.steps_due(self.period, now));
        while round.done < until {
            let left = usize::try_from(until - round.done).unwrap_or(AT_ONCE);
            let step = round.next_step(&self.out_of_reach, left.min(AT_ONCE), clock.now());
            match step {
                SearchStep::Installations => {
                    if !self.list_installations(&mut round).await {
                        break;
                    }
                }
                SearchStep::Repositories(next) => self.list_repositories(&mut round, next).await,
                SearchStep::Sweep(repos) => {
                    for (repo, came) in repos.iter().zip(self.search(&repos).await) {
                        match came {
                            Came::Found(()) | Came::Nothing => round.swept(repo),
                            Came::Failed => round.could_not_sweep(repo),
                            Came::Limited => {}
                        }
                    }
                }
                SearchStep::Pause => break,
                SearchStep::Over => {
                    round = round.next_round(clock.now());
                    break;
                }
            }
            stored::write(ledger, ROUND, &round).await?;
        }
        stored::write(ledger, ROUND, &round).await
    }

    async fn list_installations(&self, round: &mut SweepRound) -> bool {
        let Came::Found(installed) = came(self.world.ports.github.installed().await, &"the list of installations")
        else {
            return false;
        };
        let suspended = installed.iter().filter(|found| found.is_suspended).count();
        if suspended > 0 {
            tracing::info!(suspended, "installations that their owners have suspended are left out of the sweep");
        }
        let may_serve = |owner: &Owner| self.policies.iter().any(|policy| route::may_serve_owner(policy, owner));
        let open = installed.into_iter().filter(|found| !found.is_suspended).map(|found| found.owner);
        round.installed(open.filter(may_serve));
        true
    }

    async fn list_repositories(&mut self, round: &mut SweepRound, next: OwnerPage) {
        let OwnerPage { owner, page } = next;
        match came(self.world.ports.github.repositories(&owner, page).await, &owner) {
            Came::Found(found) => {
                let repositories = found.repositories.into_iter().filter(|repo| self.may_serve(repo));
                round.listed(&owner, repositories, found.is_last);
            }
            Came::Nothing => round.listed(&owner, [], true),
            Came::Limited | Came::Failed => _ = self.out_of_reach.insert(owner),
        }
    }
}
