//! How often the loops look and call, in each minute: what is woken by nothing new runs hot, and nobody sees it in a test that only
//! looks at what comes of it.

use std::collections::BTreeMap;

use runnersmith_types::{ScaleSetName, Timestamp, saturating_u32};

use crate::checks::Rule;
use crate::outside::{Outside, SimJob};
use crate::time::secs;

/// Where nothing happens, a process looks at a set once a minute, and again after passes that failed, less and less often.
const PASSES: u32 = 20;
/// What happens wakes a set at once, and each job and machine has deadlines of its own, of which a few may be in one minute.
const PASSES_OF_EACH: u32 = 2;
/// The lists of registrations once a minute, a sweep, the delivery log, and what failed once more.
const CALLS: u32 = 20;
/// A machine's registration is made, looked up and removed; a job is asked for, and its commit's check run is written. What fails is
/// tried again in the passes that something else wakes, until a full pass has seen that GitHub does not answer.
const CALLS_OF_EACH: u32 = 5;

/// What happened in one minute, and something of the one before.
#[derive(Debug, Default)]
pub struct Pace {
    minute: i64,
    /// Passes by set.
    passes: BTreeMap<ScaleSetName, u32>,
    calls: u32,
    events: u32,
    events_before: u32,
}

impl Pace {
    fn turn(&mut self, now: Timestamp) {
        let minute = now.as_millis() / 60_000;
        if minute == self.minute {
            return;
        }
        let events_before = if minute == self.minute + 1 { self.events } else { 0 };
        (self.minute, self.calls, self.events, self.events_before) = (minute, 0, 0, events_before);
        self.passes.clear();
    }

    /// Something happened outside that the loops should look at.
    pub fn event(&mut self, now: Timestamp) {
        self.turn(now);
        self.events += 1;
    }

    /// The events of this minute and of the one before.
    #[must_use]
    pub const fn events(&self) -> u32 {
        self.events + self.events_before
    }

    /// A pass over a set begins. Returns how many began in this minute.
    pub fn pass(&mut self, set: &ScaleSetName, now: Timestamp) -> u32 {
        self.turn(now);
        let passes = self.passes.entry(set.clone()).or_default();
        *passes += 1;
        *passes
    }

    /// GitHub is called. Returns how often it was in this minute.
    pub fn call(&mut self, now: Timestamp) -> u32 {
        self.turn(now);
        self.calls += 1;
        self.calls
    }
}

impl Outside {
    /// What the loops may have to do with: machines, and jobs that are open or were so shortly before.
    fn subjects(&self) -> usize {
        let now = self.now();
        let is_near = |job: &&SimJob| job.ended_at.is_none_or(|at| at.plus(secs(120)) > now);
        self.machines_alive().count() + self.jobs.values().filter(is_near).count()
    }

    /// A pass over a set begins, or goes on because it was woken.
    pub(crate) fn counts_a_pass(&mut self, set: &ScaleSetName) {
        let now = self.now();
        let passes = self.checks.pace.pass(set, now);
        if passes <= PASSES {
            return;
        }
        let (events, subjects) = (self.checks.pace.events(), self.subjects());
        let reasons = events.saturating_add(saturating_u32(subjects));
        let most = self.options.processes * (PASSES + PASSES_OF_EACH * reasons);
        if passes == most + 1 {
            let text = format!(
                "more than {most} passes over {set} in a minute, {events} events, {subjects} jobs and machines"
            );
            self.broken(Rule::PaceIsBounded, text);
        }
    }

    /// GitHub is called.
    pub(crate) fn counts_a_call(&mut self) {
        let now = self.now();
        let calls = self.checks.pace.call(now);
        if calls <= CALLS {
            return;
        }
        let subjects = self.subjects();
        let most = self.options.processes * (CALLS + CALLS_OF_EACH * saturating_u32(subjects));
        if calls == most + 1 {
            let text = format!("more than {most} calls to GitHub in a minute, {subjects} jobs and machines");
            self.broken(Rule::PaceIsBounded, text);
        }
    }
}
