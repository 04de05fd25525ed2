//! A plan: what is to be done, what is waited for, and when to look again. An action leaves no choice to its execution.

use std::fmt;

use crate::failure::BootFailure;
use crate::follow_up::WaitReason;
use crate::ids::{BatchId, JobId, MachineId, RegistrationId, RepoFullName, RunId, RunnerName, ScaleSetName};
use crate::notification::{CheckRunText, Notification};
use crate::policy::{CapacityPool, RunnerScope, Target};
use crate::runner_update::RunnerUpdate;
use crate::snapshot::PoolFailure;
use crate::time::Timestamp;
use crate::waiting::{Waiting, WaitingOn};

/// One pass's decision for one scale set.
#[must_use]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What is to be done, in order.
    pub steps: Vec<PlanStep>,
    /// What nothing is done about, and why.
    pub waiting: Vec<Waiting>,
    /// When to look again even if no signal comes.
    pub next_wake: Option<Timestamp>,
    /// Jobs that want a runner of this set now.
    pub demand: u32,
    /// Runners that can take one.
    pub supply: u32,
    /// The minimum of idle runners now.
    pub min_idle: u32,
}

impl Plan {
    /// Returns what a job waits for, if this plan says it.
    #[must_use]
    pub fn waiting_on(&self, job: JobId) -> Option<&WaitingOn> {
        self.waiting.iter().find(|waiting| waiting.job == Some(job)).map(|waiting| &waiting.on)
    }
}

/// One action and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanStep {
    /// What.
    pub action: Action,
    /// Why.
    pub reason: Reason,
}

/// A reason in words, for the ledger, `why` and the dashboard. It never holds a secret or unescaped foreign text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason(pub String);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A runner to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Its name.
    pub name: RunnerName,
    /// The serial in it.
    pub serial: u64,
    /// What it serves.
    pub target: Target,
}

/// How a runner gets its registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOffMeans {
    /// A just-in-time config, one call for one runner.
    Jit,
    /// A registration token, one call for an hour of runners.
    Token,
}

impl fmt::Display for HandOffMeans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jit => "a just-in-time config",
            Self::Token => "a registration token",
        })
    }
}

/// One idempotent thing to do, with one outcome. There is a variant for each way in which actions are executed, so that what
/// executes one kind cannot be given another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Change a runner's record: all of a plan's go into one transaction, before anything else is done.
    Record(RecordAction),
    /// Record intents: one transaction with lease generation and alive count.
    Intend {
        /// The runners to be; never more than the maximum allows.
        runners: Vec<Intent>,
    },
    /// Launch machines: one call after the other, each stored first.
    Launch(LaunchAction),
    /// Give a machine its runner's configuration: what all of a plan's need is reserved and recorded together, then they run side by side.
    HandOff(HandOffAction),
    /// Anything else: these run side by side, with the hand-offs, and none waits for another.
    Effect(EffectAction),
    /// End a machine: all of a plan's are ended together, after everything else.
    Terminate {
        /// The machine.
        machine: MachineId,
        /// Its runner, if any is recorded.
        runner: Option<RunnerName>,
    },
}

/// A change of one runner's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordAction {
    /// Record what was observed.
    Update {
        /// The runner.
        runner: RunnerName,
        /// The change.
        update: RunnerUpdate,
    },
    /// Take back an intent that was never launched.
    Withdraw {
        /// The runner.
        runner: RunnerName,
    },
    /// Remember that a machine failed.
    BootFailed(BootFailure),
    /// Remember that GitHub does not answer for a place: what fails meanwhile is its own fault.
    Silent {
        /// The place.
        at: RunnerScope,
        /// Why, in words.
        why: String,
    },
    /// A runner proved that machines work: the boot failures are forgotten.
    Booted {
        /// The runner.
        runner: RunnerName,
    },
}

/// A launch call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaunchAction {
    /// Store the batch, then make the call.
    First {
        /// Its id and token.
        batch: BatchId,
        /// Where.
        pool: CapacityPool,
        /// Its runners, sorted.
        runners: Vec<RunnerName>,
    },
    /// Make a stored call again, with the same token.
    Again {
        /// The batch.
        batch: BatchId,
    },
}

/// A machine is given its runner's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOffAction {
    /// The runner.
    pub runner: RunnerName,
    /// Its machine.
    pub machine: MachineId,
    /// How it registers.
    pub means: HandOffMeans,
}

/// An action that depends on no other of its plan, and on which none depends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EffectAction {
    /// Look a registration up by id; the outcome marks it seen or missing.
    LookUp {
        /// The runner.
        runner: RunnerName,
        /// Its registration.
        registration: RegistrationId,
        /// Where.
        at: RunnerScope,
    },
    /// Remove a registration. 204 and 404: deregistered; 422: busy, keep.
    Deregister {
        /// The runner.
        runner: RunnerName,
        /// Its registration.
        registration: RegistrationId,
        /// Where.
        at: RunnerScope,
    },
    /// Delete a hand-off that is not needed any more.
    ExpireHandOff {
        /// The runner.
        runner: RunnerName,
        /// Its machine.
        machine: MachineId,
    },
    /// Leave a capacity pool alone for a while.
    PoolFailure(PoolFailure),
    /// Ask GitHub for a job by id.
    VerifyJob {
        /// The job.
        job: JobId,
        /// Its repository.
        repo: RepoFullName,
        /// Its run, which is asked for too if the job is still queued: one that is over ends the job.
        run: Option<RunId>,
    },
    /// Record that a job is over which GitHub still calls queued.
    EndJob {
        /// The job.
        job: JobId,
    },
    /// Take a job out of demand for a while.
    Stall {
        /// The job.
        job: JobId,
        /// Until when.
        until: Timestamp,
    },
    /// Record why jobs wait, for the set whose pass posts notifications.
    RecordWaits {
        /// The jobs, each with its reason; `None` when it does not wait any more.
        jobs: Vec<(JobId, Option<WaitReason>)>,
        /// The set to wake, if it is another.
        notifier: Option<ScaleSetName>,
    },
    /// Ask GitHub whether an online runner has the labels of jobs that no set serves.
    FindRunners {
        /// Where to look.
        at: Vec<RunnerScope>,
        /// The jobs, each with what is recorded when there is no such runner.
        jobs: Vec<(JobId, String)>,
    },
    /// Notify authors, by one check run for the repository and commit.
    Notify {
        /// The repository.
        repo: RepoFullName,
        /// The commit.
        head_sha: String,
        /// The check run to update, if there is one.
        check_run: Option<u64>,
        /// The job that remembers that it was tried, before it is tried: where it opens a check run that is closed or not there, a
        /// process that ends before it knows the answer leaves one open.
        opens: Option<JobId>,
        /// What it says of all jobs of the commit that wait or were notified of.
        text: CheckRunText,
        /// The jobs of which it says something new, each with that.
        jobs: Vec<(JobId, Notification)>,
    },
    /// Record that a job lost its machine.
    Interrupted {
        /// The job.
        job: JobId,
        /// Whether its run is to be re-run for that.
        rerun: bool,
    },
    /// Re-run the failed jobs of a run, if it has ended and nobody else has done so.
    Rerun {
        /// The repository.
        repo: RepoFullName,
        /// The run.
        run: RunId,
        /// The attempt that was interrupted; 0 where it is not known.
        run_attempt: u32,
        /// Its jobs that lost their machines.
        jobs: Vec<JobId>,
    },
    /// Record that nothing is to be done about the run of jobs that lost their machines.
    NoRerun {
        /// The jobs.
        jobs: Vec<JobId>,
        /// Why, in words.
        why: &'static str,
    },
}

impl From<RecordAction> for Action {
    fn from(action: RecordAction) -> Self {
        Self::Record(action)
    }
}

impl From<LaunchAction> for Action {
    fn from(action: LaunchAction) -> Self {
        Self::Launch(action)
    }
}

impl From<HandOffAction> for Action {
    fn from(action: HandOffAction) -> Self {
        Self::HandOff(action)
    }
}

impl From<EffectAction> for Action {
    fn from(action: EffectAction) -> Self {
        Self::Effect(action)
    }
}

impl Action {
    /// Returns a stable word for metrics and the ledger.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Record(RecordAction::Update { .. }) => "mark",
            Self::Record(RecordAction::Withdraw { .. }) => "withdraw",
            Self::Record(RecordAction::BootFailed(_)) => "boot_failed",
            Self::Record(RecordAction::Silent { .. }) => "silent",
            Self::Record(RecordAction::Booted { .. }) => "booted",
            Self::Intend { .. } => "intend",
            Self::Launch(action) => action.kind(),
            Self::HandOff(_) => "hand_off",
            Self::Effect(action) => action.kind(),
            Self::Terminate { .. } => "terminate",
        }
    }
}

impl LaunchAction {
    /// Returns a stable word for metrics and the ledger.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::First { .. } => "launch",
            Self::Again { .. } => "relaunch",
        }
    }
}

impl EffectAction {
    /// Returns a stable word for metrics and the ledger.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::LookUp { .. } => "look_up",
            Self::Deregister { .. } => "deregister",
            Self::ExpireHandOff { .. } => "expire_hand_off",
            Self::PoolFailure(_) => "strike",
            Self::VerifyJob { .. } => "verify_job",
            Self::EndJob { .. } => "end_job",
            Self::Stall { .. } => "hold",
            Self::RecordWaits { .. } => "record_waits",
            Self::FindRunners { .. } => "find_runners",
            Self::Notify { .. } => "tell",
            Self::Interrupted { .. } => "interrupted",
            Self::Rerun { .. } => "rerun",
            Self::NoRerun { .. } => "no_rerun",
        }
    }
}

/// For people, as an order: "launch 2 machine(s), …".
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(action) => action.fmt(f),
            Self::Intend { runners } => write!(f, "intend {} runner(s)", runners.len()),
            Self::Launch(action) => action.fmt(f),
            Self::HandOff(HandOffAction { runner, machine, means }) => write!(f, "hand {runner} on {machine} {means}"),
            Self::Effect(action) => action.fmt(f),
            Self::Terminate { machine, .. } => write!(f, "end machine {machine}"),
        }
    }
}

impl fmt::Display for RecordAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Update { runner, .. } => write!(f, "record what was seen of {runner}"),
            Self::Withdraw { runner } => write!(f, "withdraw {runner}"),
            Self::BootFailed(failure) => write!(f, "remember that {} failed", failure.runner),
            Self::Silent { at, .. } => write!(f, "remember that GitHub does not answer for {at}"),
            Self::Booted { .. } => write!(f, "forget the boot failures"),
        }
    }
}

impl fmt::Display for LaunchAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First { pool, runners, .. } => write!(f, "launch {} machine(s), {pool}", runners.len()),
            Self::Again { batch } => write!(f, "make launch call {batch} again"),
        }
    }
}

impl fmt::Display for EffectAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LookUp { runner, registration, .. } => write!(f, "look up registration {registration} of {runner}"),
            Self::Deregister { runner, registration, .. } => {
                write!(f, "remove registration {registration} of {runner}")
            }
            Self::ExpireHandOff { runner, .. } => write!(f, "delete the hand-off of {runner}"),
            Self::PoolFailure(pool_failure) => write!(f, "leave {} alone for a while", pool_failure.pool),
            Self::VerifyJob { job, .. } => write!(f, "ask GitHub for job {job}"),
            Self::EndJob { job } => write!(f, "record that job {job} is over"),
            Self::Stall { job, .. } => write!(f, "stall job {job}"),
            Self::Notify { repo, jobs, .. } => write!(f, "notify the authors of {} job(s) in {repo}", jobs.len()),
            Self::RecordWaits { jobs, .. } => write!(f, "record why {} job(s) wait", jobs.len()),
            Self::FindRunners { jobs, .. } => write!(f, "ask for runners with the labels of {} job(s)", jobs.len()),
            Self::Interrupted { job, .. } => write!(f, "record that job {job} lost its machine"),
            Self::Rerun { repo, run, .. } => write!(f, "re-run the failed jobs of run {run} in {repo}"),
            Self::NoRerun { jobs, .. } => write!(f, "record that {} job(s) need no re-run", jobs.len()),
        }
    }
}
