//! How far the search for lost jobs is.
//!
//! What no delivery reports is found by asking, and asking costs calls that runners need. So it is asked on evidence and in turns:
//! repositories with jobs of late often, all others in a slow round; failed deliveries have a record of their own
//! ([`crate::DeliveryCursor`]). These records say where each of them goes on; they are stored, so that a new process begins where the
//! last one ended, and they decide what comes next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{Owner, RepoFullName};
use crate::time::Timestamp;

/// A repository with a job in so long is searched in turns of its own.
const ACTIVE_FOR: Duration = Duration::from_secs(86_400);
/// Its turn comes with every second round of the timer, which may be a little early: with the default of five minutes it is searched at
/// least every 15 minutes, also when one search fails.
const ACTIVE_EVERY_PERCENT: u32 = 190;
/// So many active repositories are remembered, those with the newest jobs.
const ACTIVE_MAX: usize = 2_000;
/// The longest round over everything. A repository that is first in one round and last in the next waits for two of them: less than
/// 12 hours.
const ROUND_MAX: Duration = Duration::from_secs(5 * 3_600 + 30 * 60);
/// A round that needs less has so many steps in a round of the timer: with the default of five minutes 36 in an hour.
const STEPS: u32 = 3;
/// Steps at once while a round hurries: the first one, and one after the scale sets serve other jobs than before.
const HURRY: u32 = 100;

/// A repository with a job of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveRepository {
    /// Its newest job, as far as is known.
    pub job_at: Timestamp,
    /// When it was last searched.
    #[serde(default)]
    pub swept_at: Option<Timestamp>,
}

/// Repositories with a job in the last day, with their turns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActiveRepositories(pub BTreeMap<RepoFullName, ActiveRepository>);

impl ActiveRepositories {
    /// Takes in jobs, and forgets repositories whose last job is too long ago.
    pub fn learn(&mut self, jobs: impl IntoIterator<Item = (RepoFullName, Timestamp)>, now: Timestamp) {
        let begin = now.minus(ACTIVE_FOR);
        for (repo, at) in jobs.into_iter().filter(|(_, at)| *at >= begin) {
            let known = self.0.entry(repo).or_insert(ActiveRepository { job_at: at, swept_at: None });
            known.job_at = known.job_at.max(at);
        }
        self.0.retain(|_, known| known.job_at >= begin);
        if self.0.len() > ACTIVE_MAX {
            let mut newest: Vec<Timestamp> = self.0.values().map(|known| known.job_at).collect();
            newest.sort_unstable_by(|a, b| b.cmp(a));
            let least = newest[ACTIVE_MAX - 1];
            self.0.retain(|_, known| known.job_at >= least);
        }
    }

    /// Whose turn it is, the longest waiting first. `evidence` is when the last delivery failed that did not arrive later: whatever was
    /// not searched since then is due. `period` is the timer's.
    #[must_use]
    pub fn due(&self, evidence: Option<Timestamp>, period: Duration, now: Timestamp) -> Vec<RepoFullName> {
        let every = period * ACTIVE_EVERY_PERCENT / 100;
        let is_due = |swept: Timestamp| now.since(swept) >= every || evidence.is_some_and(|at| at >= swept);
        let mut due: Vec<(Option<Timestamp>, &RepoFullName)> =
            self.0.iter().map(|(repo, known)| (known.swept_at, repo)).collect();
        due.retain(|(swept, _)| swept.is_none_or(is_due));
        due.sort();
        due.into_iter().map(|(_, repo)| repo.clone()).collect()
    }

    /// A repository was searched.
    pub fn swept(&mut self, repo: &RepoFullName, now: Timestamp) {
        if let Some(known) = self.0.get_mut(repo) {
            known.swept_at = Some(now);
        }
    }
}

/// An owner whose repositories are listed page by page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerPage {
    /// The owner.
    pub owner: Owner,
    /// The next page; the first is 1.
    pub page: u32,
}

/// What a round does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchStep {
    /// It asks where the App is installed.
    Installations,
    /// It lists a page of an owner's repositories.
    Repositories(OwnerPage),
    /// It searches these repositories.
    Sweep(Vec<RepoFullName>),
    /// It can do nothing more now.
    Pause,
    /// It has searched everything.
    Over,
}

/// A slow round over all installations, repositories and pages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepRound {
    /// When it began.
    pub began_at: Timestamp,
    /// It goes as fast as it can.
    #[serde(default)]
    pub hurries: bool,
    /// What the scale sets served when it began, as a short text that differs when they serve other jobs.
    #[serde(default)]
    pub serves: String,
    /// Whether it is known where the App is installed.
    #[serde(default)]
    pub is_listed: bool,
    /// Owners whose repositories are not all listed.
    #[serde(default)]
    pub owners: Vec<OwnerPage>,
    /// Repositories that are listed and not searched.
    #[serde(default)]
    pub repositories: Vec<RepoFullName>,
    /// Repositories that could not be searched; they are tried once more at the end.
    #[serde(default)]
    pub failed: Vec<RepoFullName>,
    /// It is at its end and tries the failed ones again.
    #[serde(default)]
    pub is_last_try: bool,
    /// Lists and repositories that are done.
    #[serde(default)]
    pub done: u32,
    /// How many steps the round before had; 0 if there was none.
    #[serde(default)]
    pub steps: u32,
}

impl SweepRound {
    /// A round that finds what has waited unseen so far: the first one, or one for jobs that nothing served before.
    #[must_use]
    pub fn hurried(serves: String, now: Timestamp) -> Self {
        Self { began_at: now, hurries: true, serves, ..Self::default() }
    }

    /// The round after this one.
    #[must_use]
    pub fn next_round(&self, now: Timestamp) -> Self {
        let serves = self.serves.clone();
        Self { began_at: now, serves, steps: self.done.max(1), ..Self::default() }
    }

    /// How many steps are due: so many as keep the pace at which it is over in time. `period` is the timer's.
    #[must_use]
    pub fn steps_due(&self, period: Duration, now: Timestamp) -> u32 {
        let length = (period * self.steps / STEPS).clamp((period * STEPS).min(ROUND_MAX), ROUND_MAX);
        let elapsed = now.since(self.began_at);
        if self.hurries || elapsed >= length {
            return HURRY;
        }
        let until_now = u128::from(self.steps) * elapsed.as_millis() / length.as_millis().max(1);
        u32::try_from(until_now).unwrap_or(u32::MAX).saturating_sub(self.done).min(HURRY)
    }

    /// Whether a round that hurries takes the place of this one: the scale sets serve other jobs than when it began, or a delivery was
    /// lost since then although it was asked for again. The latter is not done for each delivery, but for all of some minutes.
    #[must_use]
    pub fn gives_way(&self, serves: &str, lost_at: Option<Timestamp>, period: Duration, now: Timestamp) -> bool {
        let is_lost_since = lost_at.is_some_and(|at| at >= self.began_at);
        self.serves != serves || (is_lost_since && now.since(self.began_at) >= period * STEPS)
    }

    /// What comes next, without those owners; at most `most` repositories at once.
    #[must_use]
    pub fn next_step(&self, without: &BTreeSet<Owner>, most: usize, now: Timestamp) -> SearchStep {
        if !self.is_listed {
            return SearchStep::Installations;
        }
        let may = |repo: &&RepoFullName| !without.contains(&repo.owner());
        let repositories: Vec<RepoFullName> = self.repositories.iter().filter(may).take(most).cloned().collect();
        if !repositories.is_empty() {
            return SearchStep::Sweep(repositories);
        }
        if let Some(next) = self.owners.iter().find(|next| !without.contains(&next.owner)) {
            return SearchStep::Repositories(next.clone());
        }
        let is_over = self.owners.is_empty() && self.repositories.is_empty();
        // An owner who is out of reach for as long as a round does not hold the others up.
        if is_over || now.since(self.began_at) >= ROUND_MAX * 2 { SearchStep::Over } else { SearchStep::Pause }
    }

    /// It is known where the App is installed.
    pub fn installed(&mut self, owners: impl IntoIterator<Item = Owner>) {
        self.owners = owners.into_iter().map(|owner| OwnerPage { owner, page: 1 }).collect();
        self.owners.sort_by(|a, b| a.owner.cmp(&b.owner));
        (self.is_listed, self.done) = (true, self.done.saturating_add(1));
    }

    /// A page of an owner's repositories is known.
    pub fn listed(&mut self, owner: &Owner, repositories: impl IntoIterator<Item = RepoFullName>, is_last: bool) {
        self.repositories.extend(repositories);
        self.done = self.done.saturating_add(1);
        match self.owners.iter_mut().find(|next| next.owner == *owner) {
            Some(next) if !is_last => next.page += 1,
            _ => self.owners.retain(|next| next.owner != *owner),
        }
        self.try_again_at_the_end();
    }

    /// A repository was searched, or there is nothing to search.
    pub fn swept(&mut self, repo: &RepoFullName) {
        self.repositories.retain(|other| other != repo);
        self.done = self.done.saturating_add(1);
        self.try_again_at_the_end();
    }

    fn try_again_at_the_end(&mut self) {
        if self.owners.is_empty() && self.repositories.is_empty() && !self.failed.is_empty() {
            self.is_last_try = true;
            self.repositories = std::mem::take(&mut self.failed);
        }
    }

    /// A repository could not be searched.
    pub fn could_not_sweep(&mut self, repo: &RepoFullName) {
        if !self.is_last_try {
            self.failed.push(repo.clone());
        }
        self.swept(repo);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const PERIOD: Duration = Duration::from_secs(300);

    fn after(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    fn repo(name: &str) -> RepoFullName {
        RepoFullName::parse(name).unwrap()
    }

    fn owner(name: &str) -> Owner {
        Owner::parse(name).unwrap()
    }

    #[test]
    fn an_active_repository_is_due_by_time_or_by_evidence_and_the_longest_waiting_comes_first() {
        let mut active = ActiveRepositories::default();
        active
            .learn([(repo("acme/a"), NOW), (repo("acme/b"), NOW), (repo("acme/old"), NOW.minus(ACTIVE_FOR * 2))], NOW);
        let due = |active: &ActiveRepositories, evidence, now| active.due(evidence, PERIOD, now);
        assert_eq!(due(&active, None, NOW), [repo("acme/a"), repo("acme/b")]);
        active.swept(&repo("acme/b"), NOW);
        active.swept(&repo("acme/a"), after(1));
        assert!(due(&active, None, after(300)).is_empty());
        assert_eq!(due(&active, Some(NOW), after(300)), [repo("acme/b")], "deliveries failed after it was searched");
        assert_eq!(due(&active, None, after(595)), [repo("acme/b"), repo("acme/a")]);
        assert_eq!(active.due(None, Duration::from_secs(1), after(3)).len(), 2, "with a quick timer quickly");
        active.learn([], after(86_401));
        assert!(active.0.is_empty(), "its last job is more than a day ago");
    }

    #[test]
    fn the_busiest_repositories_are_remembered() {
        let mut active = ActiveRepositories::default();
        active.learn((0..3_000).map(|n| (repo(&format!("acme/r-{n}")), after(n))), after(3_000));
        assert_eq!(active.0.len(), ACTIVE_MAX);
        assert!(active.0.contains_key(&repo("acme/r-2999")) && !active.0.contains_key(&repo("acme/r-1")));
    }

    #[test]
    fn a_round_goes_through_all_owners_pages_and_repositories() {
        let mut round = SweepRound::hurried("all".into(), NOW);
        let none = BTreeSet::new();
        assert_eq!(round.next_step(&none, 4, NOW), SearchStep::Installations);
        round.installed([owner("globex"), owner("acme")]);
        let page = |name: &str, page| SearchStep::Repositories(OwnerPage { owner: owner(name), page });
        assert_eq!(round.next_step(&none, 4, NOW), page("acme", 1));
        round.listed(&owner("acme"), [repo("acme/a"), repo("acme/b")], false);
        assert_eq!(round.next_step(&none, 1, NOW), SearchStep::Sweep(vec![repo("acme/a")]));
        let limited = BTreeSet::from([owner("acme")]);
        assert_eq!(round.next_step(&limited, 4, NOW), page("globex", 1), "one organisation's limit stops no other");
        round.could_not_sweep(&repo("acme/a"));
        round.swept(&repo("acme/b"));
        assert_eq!(round.next_step(&none, 4, NOW), page("acme", 2));
        round.listed(&owner("acme"), [], true);
        round.listed(&owner("globex"), [repo("globex/c")], true);
        assert_eq!(round.next_step(&none, 4, NOW), SearchStep::Sweep(vec![repo("globex/c")]));
        round.swept(&repo("globex/c"));
        assert_eq!(round.next_step(&none, 4, NOW), SearchStep::Sweep(vec![repo("acme/a")]), "once more at the end");
        assert_eq!(round.next_step(&limited, 4, NOW), SearchStep::Pause);
        assert_eq!(round.next_step(&limited, 4, after(12 * 3_600)), SearchStep::Over);
        round.could_not_sweep(&repo("acme/a"));
        assert_eq!(round.next_step(&none, 4, NOW), SearchStep::Over);
        assert_eq!(round.next_round(NOW).steps, round.done);
    }

    #[test]
    fn a_round_keeps_the_pace_at_which_it_is_over_in_time() {
        let mut round = SweepRound { began_at: NOW, steps: 200, ..SweepRound::default() };
        let mut most = 0;
        for tick in 0..=66 {
            let due = round.steps_due(PERIOD, after(tick * 300));
            most = most.max(if tick < 66 { due } else { 0 });
            round.done += due.min(200 - round.done);
        }
        assert_eq!((round.done, most), (200, 4), "in five and a half hours, a few at a time");
        assert_eq!(round.steps_due(PERIOD, after(6 * 3_600)), HURRY, "late, it hurries");
        assert_eq!(SweepRound::hurried(String::new(), NOW).steps_due(PERIOD, NOW), HURRY);

        let short = SweepRound { began_at: NOW, steps: 3, ..SweepRound::default() };
        assert_eq!(
            [300, 600, 900].map(|s| short.steps_due(PERIOD, after(s))),
            [1, 2, HURRY],
            "three in a quarter of an hour"
        );
        let long = SweepRound { began_at: NOW, steps: 6_600, ..SweepRound::default() };
        assert_eq!(long.steps_due(PERIOD, after(300)), 100, "a longer one is over as early, by more at once");
    }

    #[test]
    fn a_round_gives_way_when_the_sets_serve_others_or_deliveries_are_lost_after_it_began() {
        let round = SweepRound::hurried("a".into(), NOW);
        let gives_way = |serves, lost_at, now| round.gives_way(serves, lost_at, PERIOD, now);
        assert!(gives_way("b", None, NOW) && !gives_way("a", None, after(86_400)));
        assert!(!gives_way("a", Some(after(1)), after(899)) && gives_way("a", Some(after(1)), after(900)));
        assert!(!gives_way("a", Some(NOW.minus(PERIOD)), after(900)), "it has searched everything since");
    }
}
