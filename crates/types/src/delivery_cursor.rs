//! How far GitHub's log of deliveries was worked off, and which of them are asked for again.
//!
//! GitHub does not try a delivery twice by itself, and one that is asked for may fail again. This record says what was asked for and how
//! often; it is stored, so that a new process begins where the last one ended, and it decides what is asked for next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::DeliveryId;
use crate::time::Timestamp;

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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn after(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
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
    fn a_delivery_that_fails_again_and_again_is_asked_for_with_growing_pauses_and_not_forever() {
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
}
