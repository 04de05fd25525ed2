//! How far the search for lost jobs and lost deliveries is.
//!
//! What no delivery reports is found by asking, and asking costs calls that runners need. So it is asked on evidence and in turns:
//! repositories with jobs of late often, all others in a slow round, and failed deliveries page by page of their log. These
//! records say where each of them goes on; they are stored, so that a new process begins where the last one ended, and they decide
//! what comes next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{DeliveryId, Owner, RepoFullName};
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
/// The log of deliveries is read so far back the first time.
const LOOK_BACK: Duration = Duration::from_secs(6 * 3_600);
/// GitHub shows deliveries of the last three days.
const LOG_REACHES: Duration = Duration::from_secs(3 * 86_400);
/// A delivery that was under way when the log was read shows up as failed a little later, with the time of its beginning.
const OVERLAP: Duration = Duration::from_secs(600);
/// A page on which a delivery cannot be asked for is left after so many tries; a sweep finds its job.
const PAGE_TRIES_MAX: u32 = 5;
/// So many deliveries that were asked for are remembered.
const ASKED_MAX: usize = 2_000;
/// A delivery that fails again and again is asked for so often; a sweep has found its job long before, if it is one of ours.
const ASKS_MAX: u32 = 6;
/// The pause before it is asked for the second time; it doubles with each failure.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(300);
/// The longest such pause.
const ASK_AGAIN_AFTER_MAX: Duration = Duration::from_secs(30 * 60);

/// A delivery that failed again after it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedAgain {
    /// The entry of the log by which it is asked for.
    pub id: u64,
    /// How often it was asked for.
    pub asks: u32,
    /// When it is asked for again; if it is not waiting, when it was asked for last.
    pub at: Timestamp,
    /// Whether it waits to be asked for.
    pub waits: bool,
}

/// How far the log of deliveries was worked off. It is newest first: a reading goes back page by page to where the one before began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryCursor {
    /// Every delivery that failed before this moment was asked for.
    pub since: Timestamp,
    /// When the reading that is under way began.
    #[serde(default)]
    pub began_at: Option<Timestamp>,
    /// The page on which it goes on; `None`: the newest.
    #[serde(default)]
    pub page: Option<String>,
    /// How often not all of that page could be asked for.
    #[serde(default)]
    pub tries: u32,
    /// What was asked for, with the time of the newest attempt that failed.
    #[serde(default)]
    pub asked: BTreeMap<DeliveryId, Timestamp>,
    /// What failed again after that: it is asked for some times more, with growing pauses.
    #[serde(default)]
    pub again: BTreeMap<DeliveryId, FailedAgain>,
}

impl DeliveryCursor {
    /// The cursor of who has read nothing yet.
    #[must_use]
    pub fn first(now: Timestamp) -> Self {
        Self { since: now.minus(LOOK_BACK), ..Self::default() }
    }

    /// Begins a reading, unless one is under way.
    pub fn begin(&mut self, now: Timestamp) {
        self.since = self.since.max(now.minus(LOG_REACHES));
        if self.began_at.is_none() {
            (self.began_at, self.page, self.tries) = (Some(now), None, 0);
        }
    }

    /// Whether a failed delivery is to be asked for again. `delivered` are those that arrived later.
    #[must_use]
    pub fn wants(&self, delivery: &DeliveryId, at: Timestamp, delivered: &BTreeSet<DeliveryId>) -> bool {
        at >= self.since && !delivered.contains(delivery) && !self.asked.contains_key(delivery)
    }

    /// Whether a delivery that was asked for has failed again since. Its job comes by no delivery any more.
    #[must_use]
    pub fn is_lost(&self, delivery: &DeliveryId, at: Timestamp) -> bool {
        self.asked.get(delivery).is_some_and(|asked| at > *asked)
    }

    /// A delivery was asked for, or cannot be.
    pub fn asked(&mut self, delivery: DeliveryId, at: Timestamp) {
        self.asked.insert(delivery, at);
        while self.asked.len() > ASKED_MAX {
            // This reading has older ones before it, and the next one begins with the newest: those between are not met again.
            let next_from = self.began_at.map_or(Timestamp::default(), |began| began.minus(OVERLAP));
            let of = |is_met: bool| self.asked.iter().filter(move |(_, at)| (**at >= next_from) == is_met);
            let newest = of(false).max_by_key(|(_, at)| **at).or_else(|| of(true).max_by_key(|(_, at)| **at));
            let Some(newest) = newest.map(|(id, _)| id.clone()) else { return };
            self.asked.remove(&newest);
        }
    }

    /// A delivery that was asked for has failed again (see [`Self::is_lost`]): it is asked for once more after a pause, unless it was
    /// asked for often enough.
    pub fn failed_again(&mut self, delivery: &DeliveryId, id: u64, at: Timestamp) {
        self.asked.insert(delivery.clone(), at);
        if self.again.len() >= ASKED_MAX && !self.again.contains_key(delivery) {
            return;
        }
        let known = self.again.entry(delivery.clone()).or_insert(FailedAgain {
            id,
            asks: 1,
            at: Timestamp::default(),
            waits: false,
        });
        let pause = ASK_AGAIN_AFTER.saturating_mul(1 << known.asks.saturating_sub(1).min(16)).min(ASK_AGAIN_AFTER_MAX);
        (known.id, known.at, known.waits) = (id, at.plus(pause), known.asks < ASKS_MAX);
    }

    /// Some attempt of these has arrived: they are not asked for again.
    pub fn arrived<'a>(&mut self, deliveries: impl IntoIterator<Item = &'a DeliveryId>) {
        for delivery in deliveries {
            if let Some(known) = self.again.get_mut(delivery) {
                known.waits = false;
            }
        }
    }

    /// What failed again and is to be asked for now, at most so many, the longest waiting first.
    #[must_use]
    pub fn due_again(&self, now: Timestamp, most: usize) -> Vec<(DeliveryId, u64)> {
        let mut due: Vec<_> = self.again.iter().filter(|(_, known)| known.waits && known.at <= now).collect();
        due.sort_by_key(|(_, known)| known.at);
        due.into_iter().take(most).map(|(delivery, known)| (delivery.clone(), known.id)).collect()
    }

    /// What had failed again was asked for once more, or cannot be.
    pub fn asked_again(&mut self, delivery: &DeliveryId, now: Timestamp) {
        if let Some(known) = self.again.get_mut(delivery) {
            (known.asks, known.at, known.waits) = (known.asks.saturating_add(1), now, false);
        }
    }

    /// Everything on the page was asked for. Returns whether the reading is over.
    pub fn page_done(&mut self, next: Option<String>, oldest_at: Option<Timestamp>) -> bool {
        self.tries = 0;
        let reaches_back = oldest_at.is_none_or(|oldest| oldest < self.since);
        if next.is_some() && !reaches_back {
            self.page = next;
            return false;
        }
        // What this reading asked for may fail again, and is seen by the next one.
        let since = self.since;
        self.again.retain(|_, known| known.waits || known.at >= since);
        self.asked.retain(|delivery, at| *at >= since || self.again.contains_key(delivery));
        if let Some(began) = self.began_at.take() {
            self.since = self.since.max(began.minus(OVERLAP));
        }
        self.page = None;
        true
    }

    /// Something on the page could not be asked for. Returns whether the reading goes on all the same.
    #[must_use]
    pub const fn gives_page_up(&mut self) -> bool {
        self.tries += 1;
        self.tries >= PAGE_TRIES_MAX
    }

    /// GitHub does not know the page any more: the reading begins again at the newest.
    pub fn page_lost(&mut self) {
        (self.page, self.tries) = (None, 0);
    }
}

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

    fn delivery(n: u32) -> DeliveryId {
        DeliveryId::parse(&format!("d-{n}")).unwrap()
    }

    #[test]
    fn the_cursor_moves_only_past_pages_on_which_everything_was_asked_for() {
        let mut cursor = DeliveryCursor::first(NOW);
        let first = cursor.since;
        cursor.begin(NOW);
        assert!(!cursor.page_done(Some("two".into()), Some(after(0))));
        assert!(!cursor.gives_page_up(), "a page that could not be finished stays");
        cursor.begin(after(300));
        assert_eq!((cursor.page.as_deref(), cursor.since, cursor.began_at), (Some("two"), first, Some(NOW)));
        assert!(cursor.page_done(None, Some(first)));
        assert_eq!((cursor.page, cursor.since), (None, NOW.minus(OVERLAP)), "as far as when the reading began");
    }

    #[test]
    fn a_page_that_cannot_be_finished_is_left_after_some_tries() {
        let mut cursor = DeliveryCursor::first(NOW);
        cursor.begin(NOW);
        assert_eq!([(); 5].map(|()| cursor.gives_page_up()), [false, false, false, false, true]);
        assert!(!cursor.page_done(Some("two".into()), Some(NOW)));
        assert!(!cursor.gives_page_up(), "the next page has tries of its own");
        cursor.page_lost();
        assert_eq!((cursor.page.as_deref(), cursor.began_at), (None, Some(NOW)));
    }

    #[test]
    fn a_delivery_that_is_asked_for_is_forgotten_when_it_is_too_old_to_be_seen_again() {
        let mut cursor = DeliveryCursor::first(NOW);
        cursor.begin(after(3_600));
        let arrived = BTreeSet::from([delivery(2)]);
        assert!(cursor.wants(&delivery(1), NOW, &arrived) && !cursor.wants(&delivery(2), NOW, &arrived));
        assert!(!cursor.wants(&delivery(3), cursor.since.minus(Duration::from_millis(1)), &arrived));
        cursor.asked(delivery(1), NOW);
        cursor.asked(delivery(4), after(3_500));
        assert!(!cursor.wants(&delivery(1), NOW, &arrived));
        assert!(cursor.page_done(None, None));
        assert_eq!(cursor.asked.len(), 2, "it may fail again");
        cursor.begin(after(3_900));
        assert!(cursor.page_done(None, None));
        assert_eq!(cursor.asked.keys().collect::<Vec<_>>(), [&delivery(4)]);
        cursor.begin(after(7_200));
        for n in (0..3_000).rev() {
            cursor.asked(delivery(10_000 + n), after(4_200 + u64::from(n)));
        }
        assert_eq!(cursor.asked.len(), ASKED_MAX);
        assert!(cursor.asked.contains_key(&delivery(10_000)), "the page that is being read has it");
        assert!(cursor.asked.contains_key(&delivery(12_999)), "the next reading begins with it");
        cursor.begin(after(30 * 86_400));
        assert_eq!(cursor.since, after(27 * 86_400), "the log reaches no further back");
    }

    #[test]
    fn a_delivery_that_fails_again_and_again_is_asked_for_with_growing_pauses_and_not_for_ever() {
        let mut cursor = DeliveryCursor::first(NOW);
        cursor.begin(NOW);
        cursor.asked(delivery(1), NOW);
        let (mut at, mut pauses) = (NOW, Vec::new());
        for id in 10.. {
            at = at.plus(Duration::from_secs(2));
            assert!(cursor.is_lost(&delivery(1), at));
            cursor.failed_again(&delivery(1), id, at);
            assert!(!cursor.is_lost(&delivery(1), at), "an attempt fails once");
            assert!(cursor.due_again(at, 9).is_empty(), "not at once");
            let Some(due) = (1..600).map(|minute| at.plus(Duration::from_secs(minute * 60))).find(|due| {
                let due = cursor.due_again(*due, 9);
                due == [(delivery(1), id)]
            }) else {
                break;
            };
            pauses.push(due.since(at).as_secs() / 60);
            (_, at) = (cursor.asked_again(&delivery(1), due), due);
            assert!(cursor.due_again(due.plus(Duration::from_secs(86_400)), 9).is_empty(), "it is on its way");
            cursor.begin(due);
            assert!(cursor.page_done(None, None));
        }
        assert_eq!(pauses, [5, 10, 20, 30, 30]);
        for _ in 0..2 {
            cursor.begin(at.plus(Duration::from_secs(7_200)));
            assert!(cursor.page_done(None, None));
        }
        assert!(cursor.again.is_empty() && cursor.asked.is_empty(), "{cursor:?}");
    }

    #[test]
    fn a_delivery_that_arrives_meanwhile_is_not_asked_for_again() {
        let mut cursor = DeliveryCursor::first(NOW);
        cursor.asked(delivery(1), NOW);
        cursor.failed_again(&delivery(1), 10, after(1));
        cursor.arrived([&delivery(1), &delivery(2)]);
        assert!(cursor.due_again(after(86_400), 9).is_empty());
        cursor.failed_again(&delivery(1), 11, after(2));
        assert_eq!(cursor.due_again(after(302), 9), [(delivery(1), 11)]);
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
