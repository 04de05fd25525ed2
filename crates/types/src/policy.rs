//! What an operator wants: scale sets and their limits, each value with its unit.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{Label, Owner, RepoFullName, RunnerGroupName, ScaleSetName};

/// Where runners register, as a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeLevel {
    /// With the job's repository.
    Repository,
    /// With the job's organisation.
    Organization,
    /// With an enterprise.
    Enterprise,
}

/// Where runners register: one owner or repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunnerScope {
    /// A repository.
    Repository(RepoFullName),
    /// An organisation.
    Organization(Owner),
    /// An enterprise, by its slug.
    Enterprise(Owner),
}

impl fmt::Display for RunnerScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository(repo) => write!(f, "{repo}"),
            Self::Organization(owner) => write!(f, "{owner}"),
            Self::Enterprise(slug) => write!(f, "enterprise {slug}"),
        }
    }
}

/// A scale set together with the owner or repository that its runners register with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The scale set.
    pub set: ScaleSetName,
    /// Where its runners register.
    pub at: RunnerScope,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.set, self.at)
    }
}

/// Which repositories a set serves: `owner/name`, `owner/*`. Compared without case, as GitHub does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RepoPattern(pub String);

impl RepoPattern {
    /// Whether the pattern covers the repository.
    #[must_use]
    pub fn covers(&self, repo: &RepoFullName) -> bool {
        let (pattern, repo) = (self.0.to_lowercase(), repo.as_str().to_lowercase());
        match pattern.strip_suffix("/*") {
            Some(owner) => repo.split('/').next() == Some(owner),
            None => pattern == repo,
        }
    }
}

/// Whom a set serves and where its runners register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The kind of place.
    pub level: ScopeLevel,
    /// The configured place. Needed for idle runners and at enterprise level; otherwise it follows each job.
    pub at: Option<RunnerScope>,
    /// Repositories served; empty means every repository in which the App is installed.
    pub allowed: Vec<RepoPattern>,
}

/// A day of the week, Monday first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// One entry of `min_idle`'s schedule. The first entry that is active now gives the minimum; none: zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MinIdleEntry {
    /// The philips-labs module's form: a six-field cron (seconds first). Active if it fires in (now − 60 s, now + 5 s].
    Cron {
        /// Six fields, seconds first.
        cron: String,
        /// IANA name.
        time_zone: String,
        /// Idle runners to keep.
        count: u32,
    },
    /// A clear window: from (inclusive) to (exclusive) on days; past midnight when `to` is not after `from`.
    Window {
        /// Days on which the window begins; empty means every day.
        days: Vec<Day>,
        /// Minutes after local midnight.
        from_minute: u16,
        /// Minutes after local midnight.
        to_minute: u16,
        /// IANA name.
        time_zone: String,
        /// Idle runners to keep.
        count: u32,
    },
}

/// How machines are bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Market {
    /// Spare capacity that may be taken back.
    Spot,
    /// Paid by the hour.
    OnDemand,
    /// A process on this machine.
    Local,
}

/// One step of the fallback order: a (market, type, zone).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CapacityPool {
    /// How it is bought.
    pub market: Market,
    /// The machine type (`m7a.large`), or `process`.
    pub machine_type: String,
    /// The zone, or `here`.
    pub zone: String,
}

impl fmt::Display for CapacityPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let market = match self.market {
            Market::Spot => "spot",
            Market::OnDemand => "on-demand",
            // There is one, and it is here.
            Market::Local => return write!(f, "local {}", self.machine_type),
        };
        write!(f, "{market} {} in {}", self.machine_type, self.zone)
    }
}

/// The capacity pools in order of preference; never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FallbackOrder {
    /// Preferred first.
    pub pools: Vec<CapacityPool>,
    /// How long a capacity pool is left alone after it had no capacity or failed to boot. Default 5 min.
    pub cool_down: Duration,
}

impl FallbackOrder {
    /// The one capacity pool of local processes.
    #[must_use]
    pub fn local() -> Self {
        Self {
            pools: vec![CapacityPool { market: Market::Local, machine_type: "process".into(), zone: "here".into() }],
            cool_down: Duration::from_secs(60),
        }
    }
}

/// All times that govern a set. The defaults are the design's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// How old a queued job must be before it is demand. 0 for ephemeral runners, 30 s for reusable ones.
    pub delay: Duration,
    /// A machine is not removed as surplus before it is this old. Default 5 min.
    pub running_min: Duration,
    /// After so long a launch call without a usable answer is given up, if no machine of it is to be seen. Default 5 min.
    #[serde(default = "launch_deadline")]
    pub launch_deadline: Duration,
    /// After so long a machine's word that it has a job loses against GitHub and the ledger, if both say the contrary. Default 10 min.
    #[serde(default = "stale_status_after")]
    pub stale_status_after: Duration,
    /// From the hand-off's put to the first sign of life. Default 5 min.
    pub boot_deadline: Duration,
    /// Past it a machine that is not busy goes; a busy one is reported. Default 5 days.
    pub lifetime_max: Duration,
    /// The machine's own hard end after its lifetime. Default 1 h.
    pub hard_end_after: Duration,
    /// How long every source must say idle before a removal. Default 1 min.
    pub idle_confirm: Duration,
    /// Between deregistration and termination. Default 1 min.
    pub settle: Duration,
    /// How long a finished ephemeral machine may take to go by itself. Default 5 min.
    pub finished_grace: Duration,
    /// How long a record or registration may lack its machine, or a machine its record. Default 2 min.
    pub ghost_grace: Duration,
    /// How long a matching idle runner may leave a job queued before the job is stalled. Default 2 min.
    pub stall_after: Duration,
    /// After this a stalled job is tested again. Default 10 min.
    pub stall_for: Duration,
    /// Within this a job runs or its author is notified why not. Default 10 min.
    pub notify_after: Duration,
    /// A queued or running job of which nothing was received for so long is asked for by id. Default 10 min.
    pub verify_after: Duration,
    /// After so many boot failures the breaker opens. Default 3.
    pub boot_failures_max: u32,
    /// The breaker's first pause before a probe; doubles up to 1 h. Default 1 min.
    pub probe_backoff: Duration,
}

const fn launch_deadline() -> Duration {
    Duration::from_secs(5 * 60)
}

const fn stale_status_after() -> Duration {
    Duration::from_secs(10 * 60)
}

impl Default for Timing {
    fn default() -> Self {
        let min = |m: u64| Duration::from_secs(60 * m);
        Self {
            delay: Duration::ZERO,
            running_min: min(5),
            launch_deadline: launch_deadline(),
            stale_status_after: stale_status_after(),
            boot_deadline: min(5),
            lifetime_max: min(5 * 24 * 60),
            hard_end_after: min(60),
            idle_confirm: min(1),
            settle: min(1),
            finished_grace: min(5),
            ghost_grace: min(2),
            stall_after: min(2),
            stall_for: min(10),
            notify_after: min(10),
            verify_after: min(10),
            boot_failures_max: 3,
            probe_backoff: min(1),
        }
    }
}

/// The policy of one scale set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaleSet {
    /// Its name.
    pub name: ScaleSetName,
    /// All labels of its runners. JIT adds none by itself, so `self-hosted` must be among them if wanted.
    pub labels: BTreeSet<Label>,
    /// Whether jobs without labels (`runs-on: {group: …}`) may come here.
    pub serves_unlabelled: bool,
    /// Whom it serves and where its runners register.
    pub scope: Scope,
    /// The runner group.
    pub group: RunnerGroupName,
    /// One job per runner.
    pub ephemeral: bool,
    /// The most runners alive at once.
    pub runners_max: u32,
    /// Higher wins among equally specific sets. Default 0.
    pub priority: i32,
    /// The schedule of the minimum of idle runners.
    pub min_idle: Vec<MinIdleEntry>,
    /// All times.
    pub timing: Timing,
    /// Capacity in order of preference.
    pub fallback_order: FallbackOrder,
    /// Beyond the JIT budget, register ephemeral runners with one shared token.
    pub token_when_jit_exhausted: bool,
    /// Re-run the failed jobs of a run once when an interruption took one of its machines.
    pub rerun_interrupted: bool,
    /// Notify authors by a check run why their job does not run. Needs the App's Checks write permission.
    pub notify: bool,
    /// The operator says that no other fleet serves the repositories of this set: a job that no set serves fails its check.
    #[serde(default)]
    pub only_fleet: bool,
}

impl ScaleSet {
    /// A set with the design's defaults: ephemeral, for organisations, at most 3 runners, local machines, authors notified.
    ///
    /// # Panics
    /// Never: the default group's name is valid.
    #[must_use]
    pub fn new(name: ScaleSetName, labels: BTreeSet<Label>) -> Self {
        #[expect(clippy::expect_used, reason = "the name is valid, as every test shows")]
        let group = RunnerGroupName::parse("Default").expect("a valid name");
        Self {
            name,
            labels,
            serves_unlabelled: false,
            scope: Scope { level: ScopeLevel::Organization, at: None, allowed: Vec::new() },
            group,
            ephemeral: true,
            runners_max: 3,
            priority: 0,
            min_idle: Vec::new(),
            timing: Timing::default(),
            fallback_order: FallbackOrder::local(),
            token_when_jit_exhausted: true,
            rerun_interrupted: false,
            notify: true,
            only_fleet: false,
        }
    }
}

/// Most runners that one action intends: a transaction of DynamoDB holds 100 items, lease and serial included.
pub const INTENTS_MAX: usize = 90;

/// Most machines in one launch call: the batch is stored in one transaction with its runners.
pub const LAUNCH_BATCH_MAX: usize = 90;
