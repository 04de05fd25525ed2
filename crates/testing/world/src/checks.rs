//! The checkers. They stand outside of the system: they know what is true, see every call, and never ask the ledger what to believe.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use runnersmith_types::{MachineId, Runner, RunnerName, RunnerState, ScaleSetName, Timestamp};

use crate::pace::Pace;
use crate::time::{secs, shown};

/// What must hold: the invariants of the design's control plane, and "no pass repeats a remote effect that changed nothing".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// I1: after the faults every job runs, or its author is notified in time, or it is gone.
    EveryJobRuns,
    /// I1: who waits beyond the bound has a notification.
    AuthorIsNotified,
    /// I1: a job does not wait long while its set has room.
    RoomIsUsed,
    /// I2: never more machines than the maximum.
    Maximum,
    /// I3: a machine that runs a job is not ended by us.
    BusyIsKept,
    /// I4: no machine is left over.
    NoMachineLeft,
    /// I4: no registration is left over.
    NoRegistrationLeft,
    /// I4: no hand-off is left over.
    NoHandOffLeft,
    /// No record is left over.
    NoRecordLeft,
    /// I5: one machine for one intent.
    OneMachinePerIntent,
    /// I6: acknowledged only after the fact is durable.
    AcknowledgedAfterFact,
    /// I6: only what cannot be read is a dead letter.
    NoDeadLetter,
    /// I7: launches are bounded by jobs and failures.
    LaunchesAreBounded,
    /// I8: no secret is stored.
    NoSecretStored,
    /// I9: a pass comes to rest, on a quiet world in four rounds; on a busy one it goes on only while things become different.
    PassesRest,
    /// No pass repeats a remote effect that changed nothing.
    NoEffectIsRepeated,
    /// Nothing is marked and unmarked within one pass.
    NothingIsUnmarked,
    /// The loops look as often as something happens, and call GitHub as often as there is something to ask.
    PaceIsBounded,
    /// The minimum of idle runners is there, or launches are paused for a recorded reason.
    MinIdleIsKept,
    /// A check run is closed in the end, and says success only when none of its jobs waits.
    CheckRunsAreTrue,
    /// A run is re-run at most once, and only when it has failed.
    RerunsAreRight,
    /// Jobs and runners of others do not concern us: what no delivery brought is not stored, no check run is because of them.
    ForeignJobsAreLeftAlone,
    /// No task panics.
    NoPanic,
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When.
    pub at: Timestamp,
    /// Which.
    pub rule: Rule,
    /// By what: stable words, then names.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}: {}", shown(self.at), self.rule, self.text)
    }
}

/// A pass comes to rest in so many rounds on a quiet world (the design's I9).
const ROUNDS_QUIET_MAX: u32 = 4;
/// So many rounds one after the other without anything new are no rest. On a busy world time itself is new: of many jobs and check runs
/// each has a moment of its own at which it is due, and a round takes what is due then.
const ROUNDS_IDLE_MAX: u32 = 12;
/// The most violations of one rule that are kept: it may be broken by every call after.
const VIOLATIONS_MAX: usize = 30;
/// What is seen may be so much older than what is true.
const SEEN_LATE: Duration = secs(90);

/// What a pass over a set has done until now.
#[derive(Default)]
struct PassSeen {
    begun_at: Timestamp,
    rounds: u32,
    /// Rounds one after the other before which nothing had become different since the round before.
    idle_rounds: u32,
    /// [`Checks::changes`] at the last round.
    changes: u64,
    /// Effects that changed nothing, and how often each was had.
    vain: BTreeMap<String, u32>,
    /// The states that each runner had, in order.
    states: BTreeMap<RunnerName, Vec<RunnerState>>,
}

/// The checkers' own books.
#[derive(Default)]
pub struct Checks {
    /// What was broken.
    pub violations: Vec<Violation>,
    passes: BTreeMap<ScaleSetName, PassSeen>,
    states: BTreeMap<RunnerName, RunnerState>,
    /// Machines that were launched for each name.
    launched: BTreeMap<RunnerName, BTreeSet<MachineId>>,
    /// When anything last changed in truth about what runs under a name.
    truth_changed: BTreeMap<RunnerName, Timestamp>,
    /// When a delivery about a job on it last arrived, however late.
    delivered: BTreeMap<RunnerName, Timestamp>,
    /// How often the loops look and call.
    pub pace: Pace,
    /// How much has become different: things that happened by themselves, and effects that changed something. A call that fails is no news.
    pub changes: u64,
    /// Rounds of passes.
    pub rounds: u64,
    /// Passes.
    pub passes_begun: u64,
}

impl Checks {
    /// Takes a violation down.
    pub fn broken(&mut self, at: Timestamp, rule: Rule, text: impl Into<String>) {
        if self.violations.iter().filter(|broken| broken.rule == rule).count() < VIOLATIONS_MAX {
            self.violations.push(Violation { at, rule, text: text.into() });
        }
    }

    /// Something about a runner became another thing in truth.
    pub fn truth_changed(&mut self, runner: &RunnerName, at: Timestamp) {
        self.truth_changed.insert(runner.clone(), at);
    }

    /// A delivery about a job on a runner arrived: news, whenever it happened.
    pub fn delivered(&mut self, runner: RunnerName, at: Timestamp) {
        self.delivered.insert(runner, at);
    }

    /// A pass has its lease.
    pub fn pass_begins(&mut self, set: &ScaleSetName, at: Timestamp) {
        self.passes_begun += 1;
        self.passes.insert(set.clone(), PassSeen { begun_at: at, ..PassSeen::default() });
    }

    /// A pass was woken by something new: what it does from now on has another reason.
    pub fn pass_woken(&mut self, set: &ScaleSetName, at: Timestamp) {
        self.passes_begun -= 1;
        self.pass_begins(set, at);
    }

    /// A pass looks at the world once more.
    pub fn round(&mut self, set: &ScaleSetName, at: Timestamp, is_quiet: bool) {
        self.rounds += 1;
        let pass = self.passes.entry(set.clone()).or_default();
        pass.rounds += 1;
        let is_idle = pass.rounds > 1 && pass.changes == self.changes;
        pass.idle_rounds = if is_idle { pass.idle_rounds + 1 } else { 0 };
        pass.changes = self.changes;
        let (rounds, idle_rounds) = (pass.rounds, pass.idle_rounds);
        if idle_rounds == ROUNDS_IDLE_MAX {
            self.broken(
                at,
                Rule::PassesRest,
                format!("round {rounds} over {set}, the last {idle_rounds} without anything new"),
            );
        } else if is_quiet && rounds == ROUNDS_QUIET_MAX + 1 {
            self.broken(
                at,
                Rule::PassesRest,
                format!("more than {ROUNDS_QUIET_MAX} rounds over {set} on a quiet world"),
            );
        }
    }

    /// An effect was had: whether it changed anything.
    pub fn effect(&mut self, set: &ScaleSetName, at: Timestamp, effect: String, changed: bool) {
        let Some(pass) = self.passes.get_mut(set) else { return };
        if changed {
            self.changes += 1;
            pass.vain.remove(&effect);
            return;
        }
        let times = pass.vain.entry(effect.clone()).or_default();
        *times += 1;
        if *times == 2 {
            self.broken(at, Rule::NoEffectIsRepeated, effect);
        }
    }

    /// Records were changed.
    pub fn records(&mut self, changed: &[Runner], at: Timestamp) {
        for runner in changed {
            let before = self.states.insert(runner.name.clone(), runner.state);
            let Some(pass) = self.passes.get_mut(&runner.target.set) else { continue };
            let states = pass.states.entry(runner.name.clone()).or_insert_with(|| before.into_iter().collect());
            if states.last() == Some(&runner.state) {
                continue;
            }
            states.push(runner.state);
            // A launch that was refused in one pool is tried in the next.
            let is_launch = matches!(runner.state, RunnerState::Intended | RunnerState::Launching);
            let is_back = states[..states.len() - 1].contains(&runner.state);
            let truth = self.truth_changed.get(&runner.name).copied().unwrap_or_default();
            let is_news = self.delivered.get(&runner.name).is_some_and(|at| *at >= pass.begun_at);
            if is_back && !is_launch && !is_news && truth.plus(SEEN_LATE) < pass.begun_at {
                let way: Vec<&str> = states.iter().map(|state| state.word()).collect();
                let text = format!("{}: {}", way.join(" -> "), runner.name);
                // Once for each way there and back.
                states.drain(..states.len() - 1);
                self.broken(at, Rule::NothingIsUnmarked, text);
            }
        }
    }

    /// A machine was launched for a runner.
    pub fn launched(&mut self, runner: &RunnerName, machine: &MachineId, at: Timestamp) {
        let machines = self.launched.entry(runner.clone()).or_default();
        machines.insert(machine.clone());
        if machines.len() > 1 {
            let text = format!("{} machines for {runner}", machines.len());
            self.broken(at, Rule::OneMachinePerIntent, text);
        }
    }
}
