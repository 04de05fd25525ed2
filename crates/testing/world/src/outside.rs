//! Everything outside of the control plane, as it is in truth: jobs, registrations, deliveries, machines, hand-offs; with the one
//! agenda, the random streams, the trace and the checkers. Nothing here waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use runnersmith_ports::Clock as _;
use runnersmith_types::{
    BatchId, JobFact, JobId, JobStatus, Label, Machine, MachineId, RegistrationId, RegistrationName, RepoFullName,
    RunId, RunnerName, ScaleSetName, Timestamp,
};

use crate::agenda::{Agenda, Event};
use crate::checks::{Checks, Rule};
use crate::options::{Faults, OUR_ID, Options, Window};
use crate::queue::MemoryQueue;
use crate::random::Random;
use crate::time::{BEGIN, VirtualClock, shown};
use crate::trace::Trace;

/// Whose a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// One of our sets serves it.
    Ours,
    /// Another fleet serves it, or GitHub.
    Foreign,
    /// Nobody serves it.
    Nobody,
}

/// A job in truth.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SimJob {
    pub id: JobId,
    pub run: RunId,
    pub repo: RepoFullName,
    pub sha: String,
    pub labels: Vec<Label>,
    pub whose: Whose,
    pub status: JobStatus,
    pub conclusion: Option<&'static str>,
    pub queued_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub runner: Option<(RegistrationId, String)>,
    pub machine: Option<MachineId>,
    pub time: Duration,
    pub attempt: u32,
}

/// A registration in truth.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SimRegistration {
    pub id: RegistrationId,
    pub name: String,
    pub labels: Vec<Label>,
    pub ephemeral: bool,
    pub online: bool,
    pub job: Option<JobId>,
    /// GitHub shows it busy until then, whatever it does.
    pub busy_until: Timestamp,
    pub created_at: Timestamp,
    pub removed_at: Option<Timestamp>,
    pub machine: Option<MachineId>,
}

impl SimRegistration {
    /// Whether GitHub takes it for busy.
    #[must_use]
    pub fn is_busy(&self, now: Timestamp) -> bool {
        self.job.is_some() || self.busy_until > now
    }

    /// Whether it is one of ours, by its name.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        let runner = RegistrationName::parse(&self.name).map(RegistrationName::into_runner);
        runner.is_some_and(|runner| runner.parts().is_some_and(|parts| parts.control_plane.as_str() == OUR_ID))
    }
}

/// What becomes of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It works.
    Good,
    /// It never boots.
    NeverBoots,
    /// Its runner never registers.
    NeverRegisters,
    /// It ends before its runner is online, or right after.
    EndsEarly,
}

/// What a machine was handed.
#[derive(Clone, Debug)]
pub enum Handed {
    /// A registration that is there.
    Jit(RegistrationId),
    /// A token to register with.
    Token {
        /// The name to register by.
        name: String,
        /// The labels to register with.
        labels: Vec<Label>,
        /// One job only.
        ephemeral: bool,
    },
}

/// A machine in truth.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SimMachine {
    /// As its provider shows it.
    pub shown: Machine,
    pub visible_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub hard_end_at: Timestamp,
    pub fate: Fate,
    pub hung: bool,
    /// It has booted and has found no hand-off yet.
    pub waits: bool,
    pub handed: Option<Handed>,
    pub registration: Option<RegistrationId>,
    pub job: Option<JobId>,
    /// The runner that it was launched for.
    pub runner: RunnerName,
}

/// One entry of GitHub's delivery log: an attempt at a delivery that was made.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Delivery {
    pub fact: JobFact,
    pub at: Timestamp,
    pub failed: bool,
}

/// A check run of ours.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SimCheckRun {
    pub repo: RepoFullName,
    pub sha: String,
    pub created_at: Timestamp,
    pub title: String,
    pub summary: String,
    /// The jobs that it names, or named at any time.
    pub named: BTreeSet<JobId>,
    /// None while it is open.
    pub conclusion: Option<String>,
}

/// Whether a call fails, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fails {
    /// It does not.
    Not,
    /// Without an effect.
    Before,
    /// Although it had its effect.
    After,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Counts {
    pub jobs: u32,
    pub launched: u32,
    pub failed_machines: u32,
    /// Messages that nobody can read.
    pub poison: u32,
    pub crashes: u32,
    pub doubled_messages: u32,
    pub port_calls: u64,
    pub github_calls: u64,
    pub lost_deliveries: u32,
    /// How often a machine said something new, or ended.
    pub machine_changes: u64,
    pub machine_seconds: u64,
    pub job_seconds: u64,
}

/// Random streams, one for each subject.
pub struct Streams {
    /// What jobs there are.
    pub jobs: Random,
    /// How deliveries come.
    pub deliveries: Random,
    /// What machines do.
    pub machines: Random,
    /// How calls end.
    pub calls: Random,
    /// When control planes die.
    pub crashes: Random,
}

/// Everything outside of the control plane.
pub struct Outside {
    clock: VirtualClock,
    /// What was chosen.
    pub options: Options,
    /// Random streams.
    pub random: Streams,
    /// What happened.
    pub trace: Trace,
    /// What is going to happen.
    pub agenda: Agenda,
    /// The checkers.
    pub checks: Checks,
    /// Where deliveries go.
    pub queue: Arc<MemoryQueue>,
    /// Counted.
    pub counts: Counts,
    /// The call that is made now will not be answered.
    pub answer_lost: bool,
    /// How many violations have a line in the trace.
    noted: usize,
    /// When a job of ours last began or ended.
    pub job_moved_at: Timestamp,
    /// A number that was never given.
    pub next: u64,
    /// All jobs.
    pub jobs: BTreeMap<JobId, SimJob>,
    /// Jobs of which a delivery has arrived, each with when the first did.
    pub delivered: BTreeMap<JobId, Timestamp>,
    /// How often each run was re-run.
    pub reruns: BTreeMap<RunId, u32>,
    /// All registrations that ever were, those of another fleet included.
    pub registrations: BTreeMap<RegistrationId, SimRegistration>,
    /// GitHub's delivery log.
    pub deliveries: BTreeMap<u64, Delivery>,
    /// Attempts at deliveries that are on their way, which the log does not show yet.
    pub under_way: BTreeMap<u64, JobFact>,
    /// Check runs of ours.
    pub check_runs: BTreeMap<u64, SimCheckRun>,
    /// GitHub's limit holds until then.
    pub limited_until: Timestamp,
    /// All machines that ever were.
    pub machines: BTreeMap<MachineId, SimMachine>,
    /// Machines by the token of their launch.
    pub by_batch: BTreeMap<BatchId, Vec<MachineId>>,
    /// Hand-offs that nobody has read, with when they were put.
    pub hand_offs: BTreeMap<MachineId, (Handed, Timestamp)>,
}

/// The runners of another fleet: one online, with the labels of its jobs, and one that somebody made by hand and left.
fn foreign_runners() -> BTreeMap<RegistrationId, SimRegistration> {
    let runner = |(id, name, labels, online): (u64, &str, &[&str], bool)| SimRegistration {
        id: RegistrationId(id),
        name: name.to_owned(),
        labels: labels.iter().map(|label| Label::of_job(label)).collect(),
        ephemeral: false,
        online,
        job: None,
        busy_until: Timestamp(0),
        created_at: Timestamp(0),
        removed_at: None,
        machine: None,
    };
    let all: [(u64, &str, &[&str], bool); 2] =
        [(1, "arc-x-7f9c", &["self-hosted", "arc-x"], true), (2, "by-hand", &["self-hosted", "gpu"], false)];
    all.into_iter().map(runner).map(|runner| (runner.id, runner)).collect()
}

impl Outside {
    /// The outside of a world that begins now.
    #[must_use]
    pub fn new(options: Options, clock: VirtualClock, queue: Arc<MemoryQueue>, whole_trace: bool) -> Self {
        let stream = |subject| Random::fork(options.seed, subject);
        let random = Streams {
            jobs: stream("jobs"),
            deliveries: stream("deliveries"),
            machines: stream("machines"),
            calls: stream("calls"),
            crashes: stream("crashes"),
        };
        Self {
            clock,
            options,
            random,
            trace: Trace::new(whole_trace),
            agenda: Agenda::default(),
            checks: Checks::default(),
            queue,
            counts: Counts::default(),
            answer_lost: false,
            noted: 0,
            job_moved_at: BEGIN,
            next: 1_000,
            jobs: BTreeMap::new(),
            delivered: BTreeMap::new(),
            reruns: BTreeMap::new(),
            registrations: foreign_runners(),
            deliveries: BTreeMap::new(),
            under_way: BTreeMap::new(),
            check_runs: BTreeMap::new(),
            limited_until: Timestamp(0),
            machines: BTreeMap::new(),
            by_batch: BTreeMap::new(),
            hand_offs: BTreeMap::new(),
        }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A number that was never given.
    pub const fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// When faults end.
    #[must_use]
    pub fn calm_at(&self) -> Timestamp {
        BEGIN.plus(self.options.busy_time)
    }

    /// Whether faults are over.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.now() >= self.calm_at()
    }

    /// How often a fault happens now.
    #[must_use]
    pub fn rate(&self, of: impl Fn(&Faults) -> u32) -> u32 {
        if self.is_calm() { 0 } else { of(&self.options.faults) }
    }

    /// Whether a call fails that fails so often.
    pub fn fails(&mut self, of: impl Fn(&Faults) -> u32) -> Fails {
        let rate = self.rate(of);
        if !self.random.calls.happens(rate) {
            Fails::Not
        } else if self.random.calls.happens(500_000) {
            Fails::Before
        } else {
            Fails::After
        }
    }

    /// Whether one of the windows is now; if so, when it ends.
    #[must_use]
    pub fn in_window<'a>(&self, windows: impl IntoIterator<Item = &'a Window>) -> Option<Timestamp> {
        let now = self.now();
        windows
            .into_iter()
            .map(|(from, to)| (BEGIN.plus(*from), BEGIN.plus(*to)))
            .find_map(|(from, to)| (from <= now && now < to).then_some(to))
    }

    /// Adds a line to the trace.
    pub fn note(&mut self, line: impl AsRef<str>) {
        let line = format!("{} {}", shown(self.now()), line.as_ref());
        self.trace.add(line);
    }

    /// Something happens by itself, after so long.
    pub fn later(&mut self, after: Duration, event: Event) {
        let at = self.now().plus(after);
        self.agenda.put(at, event);
    }

    /// A pass had an effect on a set: did it change anything? Who got no answer cannot know it, and may ask again.
    pub fn effect(&mut self, set: &ScaleSetName, effect: String, changed: bool) {
        if changed || !self.answer_lost {
            let now = self.now();
            self.checks.effect(set, now, effect, changed);
        }
    }

    /// Takes a violation down.
    pub fn broken(&mut self, rule: Rule, text: impl Into<String>) {
        let now = self.now();
        self.checks.broken(now, rule, text);
    }

    /// Adds a line to the trace for each violation that has none.
    pub fn note_violations(&mut self) {
        while let Some(violation) = self.checks.violations.get(self.noted) {
            self.trace.add(format!("BROKEN {violation}"));
            self.noted += 1;
        }
    }
}
