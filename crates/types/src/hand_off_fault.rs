//! Hand-offs that fail: whose failure it is, when they are tried again, and what is said of it meanwhile.
//!
//! It is apart from machines' failures (`failure`) because it is by place and not by machine: GitHub's outage or refusal holds
//! every machine of a place, and none of them is to blame.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::RunnerScope;
use crate::time::Timestamp;
use crate::version::RecordVersion;

/// Whose failure it is that hand-offs fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandOffTrouble {
    /// GitHub's limit holds; its end is known.
    Limited,
    /// GitHub does not answer, or answers with an error of its own.
    Unavailable,
    /// GitHub refuses, and will until somebody changes something: a group, a permission, an installation.
    Refused,
    /// The configuration cannot be put where the machine reads it.
    NotStored,
}

/// Hand-offs for one place that fail, or that failed lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOffFault {
    /// Where runners register.
    pub at: RunnerScope,
    /// Whose failure it is.
    pub trouble: HandOffTrouble,
    /// The last failure in words.
    pub why: String,
    /// The first failure of this row.
    pub since: Timestamp,
    /// The last failure, or the last time that GitHub did not answer for the place.
    pub failed_at: Timestamp,
    /// The last time that GitHub did not answer for the place, whatever it was asked.
    #[serde(default)]
    pub silent_at: Option<Timestamp>,
    /// The last time that GitHub answered for the place after it had not.
    #[serde(default)]
    pub answered_at: Option<Timestamp>,
    /// Not tried again before this moment.
    pub until: Timestamp,
    /// Failed rounds in a row, however many machines waited in each. 0: hand-offs are well again.
    pub rounds: u32,
}

impl HandOffFault {
    /// The first pause; a stale name or a hiccup is over by then.
    const PAUSE_MIN: Duration = Duration::from_secs(2);
    /// The longest pause while GitHub does not answer: what waits goes on so soon after its end.
    const UNAVAILABLE_MAX: Duration = Duration::from_secs(15);
    /// The longest pause while a store does not take configurations.
    const NOT_STORED_MAX: Duration = Duration::from_secs(60);
    /// The second pause after a refusal: somebody has to change something.
    const REFUSED: Duration = Duration::from_secs(60);
    /// The longest pause after a refusal.
    const REFUSED_MAX: Duration = Duration::from_secs(900);
    /// GitHub's limits reset within an hour.
    const LIMITED_MAX: Duration = Duration::from_secs(3600);

    /// Whether GitHub has not answered for the place since it last did not.
    fn is_silent(&self) -> bool {
        self.silent_at.is_some_and(|silent| self.answered_at.is_none_or(|answered| answered < silent))
    }

    /// Whether hand-offs fail now.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.rounds > 0
    }

    /// Whether hand-offs fail now as far as is known: one that nobody has tried for minutes after its pause says nothing any more.
    #[must_use]
    pub fn is_current(&self, now: Timestamp) -> bool {
        const UNTRIED: Duration = Duration::from_secs(600);
        self.is_active() && now.since(self.until) < UNTRIED
    }

    /// Whether it lasts so long, or will, that a machine launched now would only wait.
    #[must_use]
    pub fn stops_launches(&self, now: Timestamp) -> bool {
        const SHORT: Duration = Duration::from_secs(60);
        if !self.is_current(now) {
            return false;
        }
        match self.trouble {
            HandOffTrouble::Limited => self.until.since(now) > SHORT,
            HandOffTrouble::Unavailable => now.since(self.since) >= SHORT,
            HandOffTrouble::Refused | HandOffTrouble::NotStored => self.rounds >= 2,
        }
    }

    fn pause(trouble: HandOffTrouble, rounds: u32) -> Duration {
        let doubled = |first: Duration, times: u32| first.saturating_mul(1 << times.min(16));
        let times = rounds.saturating_sub(1);
        match trouble {
            HandOffTrouble::Limited | HandOffTrouble::Unavailable => {
                doubled(Self::PAUSE_MIN, times).min(Self::UNAVAILABLE_MAX)
            }
            HandOffTrouble::NotStored => doubled(Self::PAUSE_MIN, times).min(Self::NOT_STORED_MAX),
            // A group's number may be stale once: the second try asks for it again.
            HandOffTrouble::Refused if times == 0 => Self::PAUSE_MIN,
            HandOffTrouble::Refused => doubled(Self::REFUSED, times - 1).min(Self::REFUSED_MAX),
        }
    }
}

/// For people: what is wrong, and with what.
impl fmt::Display for HandOffFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, why, .. } = self;
        match self.trouble {
            HandOffTrouble::Limited => write!(f, "GitHub's rate limit holds registrations at {at} back"),
            HandOffTrouble::Unavailable => write!(f, "GitHub does not answer registrations at {at}: {why}"),
            HandOffTrouble::Refused => write!(f, "GitHub refuses registrations at {at}: {why}"),
            HandOffTrouble::NotStored => {
                write!(f, "configurations for runners at {at} cannot be put where machines read them: {why}")
            }
        }
    }
}

/// What one hand-off says of its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandOffReport {
    /// It succeeded, at GitHub at least.
    Succeeded {
        /// The place.
        at: RunnerScope,
    },
    /// It failed.
    Failed {
        /// The place.
        at: RunnerScope,
        /// Whose failure it was.
        trouble: HandOffTrouble,
        /// In words; the same for every runner of the place.
        why: String,
        /// The end of GitHub's limit, where one holds.
        until: Option<Timestamp>,
    },
}

/// The hand-offs of a set that fail, by place, and those that failed within the last day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOffFaults {
    /// One of each place, the last that failed at the end.
    pub faults: Vec<HandOffFault>,
    /// The version of the stored form.
    #[serde(default)]
    pub record_version: RecordVersion<1>,
}

impl HandOffFaults {
    /// The most places that are remembered.
    const PLACES_MAX: usize = 500;
    /// What is over is remembered for so long: it may excuse a machine that ended since.
    const KEPT: Duration = Duration::from_secs(86_400);

    /// A round of hand-offs for a place failed, at `now`. `limited_until` is the end of GitHub's limit, if it is known.
    pub fn failed(
        &mut self,
        at: &RunnerScope,
        trouble: HandOffTrouble,
        why: &str,
        limited_until: Option<Timestamp>,
        now: Timestamp,
    ) {
        let before = self.faults.iter().position(|fault| &fault.at == at).map(|index| self.faults.remove(index));
        let answered_at = before.as_ref().and_then(|fault| fault.answered_at);
        let silent_at = match trouble {
            HandOffTrouble::Unavailable => Some(now),
            HandOffTrouble::Limited | HandOffTrouble::Refused | HandOffTrouble::NotStored => {
                before.as_ref().and_then(|fault| fault.silent_at)
            }
        };
        let before = before.filter(|fault| fault.is_active() && fault.trouble == trouble);
        let rounds = before.as_ref().map_or(0, |fault| fault.rounds).saturating_add(1);
        let until = match limited_until {
            Some(until) => until.max(now.plus(Duration::from_secs(1))).min(now.plus(HandOffFault::LIMITED_MAX)),
            None => now.plus(HandOffFault::pause(trouble, rounds)),
        };
        let since = before.map_or(now, |fault| fault.since);
        let why = why.chars().take(300).collect();
        self.faults.retain(|fault| fault.is_active() || now.since(fault.failed_at) < Self::KEPT);
        if self.faults.len() >= Self::PLACES_MAX {
            // What is well again goes first.
            let over = self.faults.iter().position(|fault| !fault.is_active()).unwrap_or(0);
            self.faults.remove(over);
        }
        let at = at.clone();
        self.faults.push(HandOffFault {
            at,
            trouble,
            why,
            since,
            failed_at: now,
            silent_at,
            answered_at,
            until,
            rounds,
        });
    }

    /// Takes in what a round of hand-offs said: each place that had no success failed once, however many machines waited. A limit
    /// holds even so. Returns whether anything is to be recorded.
    pub fn round(&mut self, reports: &[HandOffReport], now: Timestamp) -> bool {
        let mut changed = false;
        let mut failed: Vec<&RunnerScope> = Vec::new();
        for report in reports {
            if let HandOffReport::Succeeded { at } = report {
                changed |= self.succeeded(at);
            }
        }
        for report in reports {
            let HandOffReport::Failed { at, trouble, why, until } = report else { continue };
            let well = |other: &HandOffReport| matches!(other, HandOffReport::Succeeded { at: place } if place == at);
            let holds = *trouble == HandOffTrouble::Limited;
            if failed.contains(&at) || (!holds && reports.iter().any(well)) {
                continue;
            }
            self.failed(at, *trouble, why, *until, now);
            failed.push(at);
            changed = true;
        }
        changed
    }

    /// GitHub did not answer for a place at `now`, whatever it was asked. That alone holds no hand-off back, but it excuses a machine
    /// that ends since. With as many places as are remembered, all of which fail, it is not recorded.
    pub fn silent(&mut self, at: &RunnerScope, why: &str, now: Timestamp) {
        if let Some(fault) = self.faults.iter_mut().find(|fault| &fault.at == at) {
            (fault.failed_at, fault.silent_at) = (fault.failed_at.max(now), fault.silent_at.max(Some(now)));
        } else if self.faults.len() < Self::PLACES_MAX || self.faults.iter().any(|fault| !fault.is_active()) {
            self.failed(at, HandOffTrouble::Unavailable, why, None, now);
            self.succeeded(at);
        }
    }

    /// GitHub answered for a place when it was asked at `asked_at`. Returns whether that is news: it had not answered before.
    pub fn answered(&mut self, at: &RunnerScope, asked_at: Timestamp) -> bool {
        let was_silent =
            |fault: &&mut HandOffFault| &fault.at == at && fault.is_silent() && fault.silent_at <= Some(asked_at);
        let silent = self.faults.iter_mut().filter(was_silent);
        silent.map(|fault| fault.answered_at = Some(asked_at)).count() > 0
    }

    /// Whether GitHub did not answer for a place within so long, and has not answered since.
    #[must_use]
    pub fn is_silent(&self, at: &RunnerScope, within: Duration, now: Timestamp) -> bool {
        let is_recent = |fault: &HandOffFault| fault.silent_at.is_some_and(|silent| now.since(silent) < within);
        self.faults.iter().any(|fault| &fault.at == at && fault.is_silent() && is_recent(fault))
    }

    /// A hand-off for a place succeeded. Returns whether that is news.
    pub fn succeeded(&mut self, at: &RunnerScope) -> bool {
        let active = self.faults.iter_mut().filter(|fault| &fault.at == at && fault.is_active());
        active.map(|fault| fault.rounds = 0).count() > 0
    }

    /// The fault of a place, while it lasts.
    #[must_use]
    pub fn active(&self, at: &RunnerScope) -> Option<&HandOffFault> {
        self.faults.iter().find(|fault| &fault.at == at && fault.is_active())
    }

    /// Whether hand-offs for a place have failed, or GitHub did not answer for it, at or after a moment.
    #[must_use]
    pub fn failed_since(&self, at: &RunnerScope, moment: Timestamp) -> bool {
        self.faults.iter().any(|fault| &fault.at == at && fault.failed_at >= moment)
    }

    /// Whether GitHub did not answer for a place at or after a moment.
    #[must_use]
    pub fn silent_since(&self, at: &RunnerScope, moment: Timestamp) -> bool {
        self.faults.iter().any(|fault| &fault.at == at && fault.silent_at.is_some_and(|silent| silent >= moment))
    }

    /// The same after an operator's reset: what failed before it is tried again at once.
    #[must_use]
    pub fn after(mut self, moment: Timestamp) -> Self {
        for fault in self.faults.iter_mut().filter(|fault| fault.failed_at <= moment) {
            fault.rounds = 0;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Owner;

    const START: Timestamp = Timestamp(1_800_000_000_000);

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn pauses_grow_by_failed_rounds_and_end_with_githubs_limit() {
        let at = RunnerScope::Organization(Owner::parse("acme").unwrap());
        let mut faults = HandOffFaults::default();
        let pauses = |faults: &mut HandOffFaults, trouble, count: usize| {
            let mut pauses = Vec::new();
            for _ in 0..count {
                faults.failed(&at, trouble, "502", None, START);
                pauses.push(faults.active(&at).unwrap().until.since(START).as_secs());
            }
            pauses
        };
        assert_eq!(pauses(&mut faults, HandOffTrouble::Unavailable, 6), [2, 4, 8, 15, 15, 15]);
        assert_eq!(pauses(&mut faults, HandOffTrouble::Refused, 7), [2, 60, 120, 240, 480, 900, 900]);
        faults.failed(&at, HandOffTrouble::Limited, "", Some(START.plus(secs(1_800))), START);
        assert_eq!(faults.active(&at).unwrap().until, START.plus(secs(1_800)));
        assert!(faults.succeeded(&at) && !faults.succeeded(&at));
        assert_eq!(faults.active(&at), None);
        assert!(faults.failed_since(&at, START), "it is remembered that it failed");
    }

    #[test]
    fn a_hundred_places_and_one_that_fail_all_keep_their_rounds() {
        let at = |number: u32| RunnerScope::Organization(Owner::parse(&format!("org{number}")).unwrap());
        let mut faults = HandOffFaults::default();
        for _ in 0..4 {
            (0..101).for_each(|number| faults.failed(&at(number), HandOffTrouble::Unavailable, "502", None, START));
        }
        assert!((0..101).all(|number| faults.active(&at(number)).is_some_and(|fault| fault.rounds == 4)));
        (500..1_000).for_each(|number| faults.failed(&at(number), HandOffTrouble::Unavailable, "502", None, START));
        assert_eq!(faults.faults.len(), HandOffFaults::PLACES_MAX);
    }

    #[test]
    fn a_failure_that_nobody_tried_again_for_minutes_says_nothing_any_more() {
        let at = RunnerScope::Organization(Owner::parse("acme").unwrap());
        let mut faults = HandOffFaults::default();
        for _ in 0..3 {
            faults.failed(&at, HandOffTrouble::Refused, "404", None, START);
        }
        let fault = faults.active(&at).unwrap();
        assert!(fault.stops_launches(START.plus(secs(120))) && fault.is_current(fault.until.plus(secs(599))));
        assert!(!fault.is_current(fault.until.plus(secs(600))) && !fault.stops_launches(fault.until.plus(secs(600))));
    }

    #[test]
    fn a_round_with_one_success_is_no_failure_and_one_without_is_one_however_many_failed() {
        let acme = RunnerScope::Organization(Owner::parse("acme").unwrap());
        let failed = |trouble| HandOffReport::Failed { at: acme.clone(), trouble, why: "502".into(), until: None };
        let well = HandOffReport::Succeeded { at: acme.clone() };
        let mut faults = HandOffFaults::default();
        assert!(faults.round(&vec![failed(HandOffTrouble::Unavailable); 10], START));
        assert_eq!(faults.active(&acme).unwrap().rounds, 1);
        assert!(faults.round(&[failed(HandOffTrouble::Unavailable), well.clone()], START));
        assert_eq!(faults.active(&acme), None);
        assert!(faults.round(&[well.clone(), failed(HandOffTrouble::Limited)], START), "a limit holds even so");
        assert!(faults.active(&acme).is_some());
        let well = [well];
        assert!(faults.round(&well, START) && !faults.round(&well, START) && !faults.round(&[], START));
    }
}
