//! A runner of ours: one registration and the machine under it, as one record with its evidence.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{BatchId, JobId, Label, MachineId, RegistrationId, RunnerName};
use crate::names::RegistrationName;
use crate::policy::{CapacityPool, Target};
use crate::runner_state::RunnerState;
use crate::runner_update::RunnerUpdate;
use crate::time::Timestamp;
use crate::version::RecordVersion;

/// The durable record of a runner, with the time of each stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    /// Its name, unique forever.
    pub name: RunnerName,
    /// The serial in its name, from the ledger's counter.
    pub serial: u64,
    /// What it serves.
    pub target: Target,
    /// One job only.
    pub ephemeral: bool,
    /// Where it stands.
    pub state: RunnerState,
    /// The attempt of its registration, from 1; a JIT config that was lost is issued again under the next.
    pub attempt: u32,
    /// The launch call it belongs to.
    pub batch: Option<BatchId>,
    /// Its machine.
    pub machine: Option<MachineId>,
    /// Where the machine was bought.
    #[serde(rename = "rung")]
    pub pool: Option<CapacityPool>,
    /// Its registration at GitHub.
    pub registration: Option<RegistrationId>,
    /// The job it has or had, by any source.
    pub job: Option<JobId>,
    /// The labels of its registration, by GitHub's newest word or as they were asked for. Empty: not known.
    #[serde(default)]
    pub labels: BTreeSet<Label>,
    /// When that was said.
    #[serde(default)]
    pub labels_at: Option<Timestamp>,
    /// Recorded.
    pub intended_at: Timestamp,
    /// Batch stored.
    pub launching_at: Option<Timestamp>,
    /// When its launch call last had no usable answer.
    #[serde(default)]
    pub launch_tried_at: Option<Timestamp>,
    /// How often launch calls for it had no usable answer.
    #[serde(default)]
    pub launch_failures: u32,
    /// What the last such answer was, for people.
    #[serde(default)]
    pub launch_error: Option<String>,
    /// Machine bound.
    pub machine_at: Option<Timestamp>,
    /// JIT config asked for (recorded before the call, which is not idempotent).
    pub jit_requested_at: Option<Timestamp>,
    /// Hand-off put: the boot deadline runs from here.
    pub handed_at: Option<Timestamp>,
    /// First seen online by any source.
    pub online_at: Option<Timestamp>,
    /// Idle by every source that can speak since then.
    pub idle_since: Option<Timestamp>,
    /// GitHub shows it offline since then, although it was online.
    #[serde(default)]
    pub offline_since: Option<Timestamp>,
    /// First seen busy.
    pub busy_at: Option<Timestamp>,
    /// When GitHub last said that it has a job, while no other source did: its list, or an answer to a question by id.
    #[serde(default)]
    pub github_busy_at: Option<Timestamp>,
    /// When GitHub last refused to remove its registration, because it has a job (422).
    #[serde(default)]
    pub removal_refused_at: Option<Timestamp>,
    /// Since when GitHub and the ledger say that it has no job, while its machine says that it has one.
    #[serde(default)]
    pub status_doubted_since: Option<Timestamp>,
    /// Decided to remove.
    pub draining_at: Option<Timestamp>,
    /// GitHub answered 204 or 404 to its removal.
    pub deregistered_at: Option<Timestamp>,
    /// Its job completed.
    pub finished_at: Option<Timestamp>,
    /// Lost since; the last time, if it was found again in between.
    pub lost_at: Option<Timestamp>,
    /// Times in a row that GitHub answered 404 for its registration, by id.
    pub missing_registration: u8,
    /// When last looked up by id.
    pub looked_up_at: Option<Timestamp>,
    /// The machine was first missing from a complete list at this time.
    pub machine_missing_since: Option<Timestamp>,
    /// When termination was last asked for.
    pub terminated_at: Option<Timestamp>,
    /// The hand-off is known to be used or deleted.
    pub handoff_gone_at: Option<Timestamp>,
    /// Nothing is left of it.
    pub gone_at: Option<Timestamp>,
    /// Why it went, in words.
    pub end_reason: Option<String>,
    /// Grows by one with each stored change; updates are conditional on it.
    pub version: u64,
    /// The version of the stored form.
    #[serde(default)]
    pub record_version: RecordVersion<1>,
}

impl Runner {
    /// A new intent.
    #[must_use]
    pub fn intended(name: RunnerName, serial: u64, target: Target, ephemeral: bool, at: Timestamp) -> Self {
        Self {
            name,
            serial,
            target,
            ephemeral,
            state: RunnerState::Intended,
            attempt: 1,
            batch: None,
            machine: None,
            pool: None,
            registration: None,
            job: None,
            labels: BTreeSet::new(),
            labels_at: None,
            intended_at: at,
            launching_at: None,
            launch_tried_at: None,
            launch_failures: 0,
            launch_error: None,
            machine_at: None,
            jit_requested_at: None,
            handed_at: None,
            online_at: None,
            idle_since: None,
            offline_since: None,
            busy_at: None,
            github_busy_at: None,
            removal_refused_at: None,
            status_doubted_since: None,
            draining_at: None,
            deregistered_at: None,
            finished_at: None,
            lost_at: None,
            missing_registration: 0,
            looked_up_at: None,
            machine_missing_since: None,
            terminated_at: None,
            handoff_gone_at: None,
            gone_at: None,
            end_reason: None,
            version: 1,
            record_version: RecordVersion::CURRENT,
        }
    }

    /// Whether something may wait for its machine to be read: it was put, or a put was begun of which no answer came (a call that
    /// is repeated may even put it again after the machine has read it).
    #[must_use]
    pub const fn may_have_hand_off(&self) -> bool {
        (self.handed_at.is_some() || self.jit_requested_at.is_some())
            && self.machine.is_some()
            && self.handoff_gone_at.is_none()
    }

    /// Whether its machine's word that it has a job is not believed any more: for so long GitHub and the ledger said the contrary.
    #[must_use]
    pub fn is_status_stale(&self, after: Duration, now: Timestamp) -> bool {
        self.status_doubted_since.is_some_and(|since| since.plus(after) <= now)
    }

    /// Returns when GitHub last said that it has a job, as far as that is recorded and newer than its end by another source's word.
    #[must_use]
    pub fn github_said_busy_at(&self) -> Option<Timestamp> {
        let said_at = self.github_busy_at.max(self.removal_refused_at);
        said_at.filter(|at| Some(*at) > self.lost_at.max(self.finished_at))
    }

    /// Returns a label of these that its registration lacks, as far as its labels are known.
    #[must_use]
    pub fn lacks_label<'a>(&self, labels: &'a BTreeSet<Label>) -> Option<&'a Label> {
        labels.iter().find(|label| !self.labels.is_empty() && !self.labels.contains(*label))
    }

    /// Whether GitHub has never shown it online: no source said so, or only the machine itself, and GitHub the contrary from the
    /// start (within the time that its lists may lag).
    #[must_use]
    pub fn was_never_online(&self, lag: Duration) -> bool {
        match (self.online_at, self.offline_since) {
            (None, _) => true,
            (Some(online), Some(offline)) => self.busy_at.is_none() && offline <= online.plus(lag),
            (Some(_), None) => false,
        }
    }

    /// The name under which its present attempt registers at GitHub.
    #[must_use]
    pub fn registration_name(&self) -> RegistrationName {
        RegistrationName::new(self.name.clone(), self.attempt)
    }

    /// Applies one change. Returns whether anything changed; a change that makes no sense in the present state is a no-op.
    pub fn update(&mut self, update: RunnerUpdate, at: Timestamp) -> bool {
        let before = self.clone();
        match update {
            RunnerUpdate::Launching { batch, pool } => self.launching(batch, pool, at),
            RunnerUpdate::NotLaunched => self.not_launched(),
            RunnerUpdate::LaunchTried(cause) => self.launch_tried(cause, at),
            RunnerUpdate::LaunchFailed(cause) => self.launch_failed(cause, at),
            RunnerUpdate::Machine(id) => self.bind(id, at),
            RunnerUpdate::JitRequested => set_once(&mut self.jit_requested_at, at),
            RunnerUpdate::Registered(id) => self.registration = Some(id),
            RunnerUpdate::JitNotMade => {
                if self.registration.is_none() && self.handed_at.is_none() {
                    self.jit_requested_at = None;
                }
            }
            RunnerUpdate::Labels(labels) => self.labelled(labels, at),
            RunnerUpdate::NextAttempt => self.next_attempt(),
            RunnerUpdate::HandedOff => set_once(&mut self.handed_at, at),
            RunnerUpdate::HandOffGone => set_once(&mut self.handoff_gone_at, at),
            RunnerUpdate::Idle(registration) => self.idle(registration, at),
            RunnerUpdate::Busy(job) => self.busy(job, at),
            RunnerUpdate::BusyAtGitHub(said_at) => self.busy_at_github(said_at, at),
            RunnerUpdate::StatusDoubted => {
                set_once(&mut self.status_doubted_since, at);
                // What GitHub said before is over: its newest word is the contrary.
                (self.github_busy_at, self.removal_refused_at) = (None, None);
            }
            RunnerUpdate::StatusBelieved => self.status_doubted_since = None,
            RunnerUpdate::Offline => {
                if self.state == RunnerState::Idle {
                    set_once(&mut self.offline_since, at);
                }
            }
            RunnerUpdate::Draining => self.draining(at),
            RunnerUpdate::RemovalRefused => self.removal_refused(at),
            RunnerUpdate::Deregistered => {
                set_once(&mut self.deregistered_at, at);
                self.registration = None;
            }
            RunnerUpdate::Finished => self.finished(at),
            RunnerUpdate::Lost => self.lost(at),
            RunnerUpdate::RegistrationMissing => {
                self.missing_registration = self.missing_registration.saturating_add(1);
                self.looked_up_at = Some(at);
            }
            RunnerUpdate::RegistrationSeen => {
                self.missing_registration = 0;
                self.looked_up_at = Some(at);
            }
            RunnerUpdate::MachineMissing => set_once(&mut self.machine_missing_since, at),
            RunnerUpdate::MachineSeen => self.machine_missing_since = None,
            RunnerUpdate::Terminated => self.terminated_at = Some(at),
            RunnerUpdate::Gone(reason) => self.gone(reason, at),
        }
        *self != before
    }

    fn launching(&mut self, batch: BatchId, pool: CapacityPool, at: Timestamp) {
        if self.state == RunnerState::Intended {
            self.state = RunnerState::Launching;
            (self.batch, self.pool, self.launching_at) = (Some(batch), Some(pool), Some(at));
            self.launch_error = None;
        }
    }

    fn not_launched(&mut self) {
        if self.state == RunnerState::Launching && self.machine.is_none() {
            self.state = RunnerState::Intended;
            (self.batch, self.pool, self.launching_at) = (None, None, None);
        }
    }

    fn launch_tried(&mut self, cause: String, at: Timestamp) {
        if self.state == RunnerState::Launching && self.machine.is_none() {
            self.launch_failures = self.launch_failures.saturating_add(1);
            (self.launch_tried_at, self.launch_error) = (Some(at), Some(cause));
        }
    }

    fn launch_failed(&mut self, cause: String, at: Timestamp) {
        self.launch_tried(cause, at);
        self.not_launched();
    }

    fn labelled(&mut self, labels: BTreeSet<Label>, at: Timestamp) {
        if self.labels != labels {
            (self.labels, self.labels_at) = (labels, Some(at));
        }
    }

    fn bind(&mut self, machine: MachineId, at: Timestamp) {
        if self.machine.is_none() && matches!(self.state, RunnerState::Intended | RunnerState::Launching) {
            (self.state, self.machine, self.machine_at) = (RunnerState::Booting, Some(machine), Some(at));
            self.launch_error = None;
        }
    }

    fn next_attempt(&mut self) {
        self.attempt += 1;
        (self.registration, self.jit_requested_at, self.handed_at) = (None, None, None);
        self.handoff_gone_at = None;
    }

    fn idle(&mut self, registration: Option<RegistrationId>, at: Timestamp) {
        self.registration = self.registration.or(registration);
        if !matches!(self.state, RunnerState::Booting | RunnerState::Idle | RunnerState::Busy) {
            return;
        }
        set_once(&mut self.online_at, at);
        if self.state != RunnerState::Idle {
            self.idle_since = Some(at);
        }
        if self.state == RunnerState::Busy {
            self.job = None;
        }
        self.state = RunnerState::Idle;
        set_once(&mut self.idle_since, at);
        self.offline_since = None;
        self.missing_registration = 0;
        (self.github_busy_at, self.removal_refused_at) = (None, None);
    }

    fn busy(&mut self, job: Option<JobId>, at: Timestamp) {
        // It may also have been taken for finished, because GitHub did not know its job.
        if matches!(self.state, RunnerState::Intended | RunnerState::Gone) {
            return;
        }
        self.state = RunnerState::Busy;
        set_once(&mut self.online_at, at);
        set_once(&mut self.busy_at, at);
        self.idle_since = None;
        (self.draining_at, self.lost_at, self.finished_at, self.offline_since) = (None, None, None, None);
        self.job = job.or(self.job);
        if job.is_some() {
            self.status_doubted_since = None;
        }
    }

    fn busy_at_github(&mut self, said_at: Timestamp, at: Timestamp) {
        self.busy(None, at);
        if self.state == RunnerState::Busy {
            self.github_busy_at = self.github_busy_at.max(Some(said_at));
        }
    }

    fn draining(&mut self, at: Timestamp) {
        use RunnerState::{Booting, Busy, Draining, Idle, Launching, Lost};
        if matches!(self.state, Booting | Idle | Lost | Busy | Launching) {
            self.state = Draining;
            set_once(&mut self.draining_at, at);
        }
    }

    fn removal_refused(&mut self, at: Timestamp) {
        self.removal_refused_at = Some(at);
        if matches!(self.state, RunnerState::Draining | RunnerState::Idle | RunnerState::Booting) {
            self.state = RunnerState::Busy;
            self.draining_at = None;
            self.idle_since = None;
            set_once(&mut self.busy_at, at);
        }
    }

    fn finished(&mut self, at: Timestamp) {
        if !matches!(self.state, RunnerState::Gone | RunnerState::Finished) {
            self.state = RunnerState::Finished;
            set_once(&mut self.finished_at, at);
            self.idle_since = None;
        }
    }

    fn lost(&mut self, at: Timestamp) {
        if !matches!(self.state, RunnerState::Gone | RunnerState::Lost) {
            self.state = RunnerState::Lost;
            self.lost_at = Some(at);
            self.idle_since = None;
        }
    }

    fn gone(&mut self, reason: String, at: Timestamp) {
        self.state = RunnerState::Gone;
        set_once(&mut self.gone_at, at);
        self.end_reason.get_or_insert(reason);
    }
}

/// The first time counts.
fn set_once(time: &mut Option<Timestamp>, at: Timestamp) {
    time.get_or_insert(at);
}
