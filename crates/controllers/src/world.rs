//! What every controller is given: the ports, the scale sets, the limits, and where it reports.
//!
//! It is a module of its own so that all others can point to it and it to none that does anything.

use std::sync::Arc;
use std::time::Duration;

use runnersmith_ports::{Clock, GitHub, HandOff, Ledger, Machines, Queue};
use runnersmith_types::{Job, Runner, ScaleSet, ScaleSetName, Timing};

use crate::faults::Faults;
use crate::levels::Levels;
use crate::metrics::Metrics;
use crate::sets::Sets;
use crate::tasks::Tasks;

/// What a controller reaches the world by.
#[derive(Clone)]
pub struct Ports {
    /// Messages.
    pub queue: Arc<dyn Queue>,
    /// Messages that ask something of GitHub, apart from those that must not wait for it. None: they are handled after all others.
    pub lookups: Option<Arc<dyn Queue>>,
    /// Records.
    pub ledger: Arc<dyn Ledger>,
    /// Machines.
    pub machines: Arc<dyn Machines>,
    /// Hand-offs.
    pub hand_off: Arc<dyn HandOff>,
    /// GitHub.
    pub github: Arc<dyn GitHub>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Check runs a minute, for all commits together. GitHub allows 80 content-creating requests a minute and 500 an hour ("Rate limits
/// for the REST API", secondary limits), and a limit that they hit would stop hand-offs as well.
pub const NOTIFICATIONS_PER_MINUTE: u32 = 20;

/// Limits that bind all loops of one App together, per minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// JIT configs. GitHub grants about 180 a minute before its secondary limits.
    pub jit_per_minute: u32,
    /// Other calls.
    pub calls_per_minute: u32,
}

/// Everything a controller needs.
#[derive(Clone)]
pub struct World {
    /// What it reaches the world by.
    pub ports: Ports,
    /// All scale sets of now.
    pub sets: Sets,
    /// The times that govern sets which were taken out: see [`retired`](crate::housekeeping::retired).
    pub retired: Timing,
    /// Limits.
    pub limits: CallLimits,
    /// What the last passes saw, for people.
    pub levels: Arc<Levels>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// What the background tasks do, for people.
    pub tasks: Arc<Tasks>,
    /// What is wrong, as far as no level says it, for people.
    pub faults: Arc<Faults>,
    /// Who we are, in leases.
    pub holder: String,
    /// How long a lease holds without being renewed: so long a crashed holder stops its set.
    pub lease_ttl: Duration,
    /// Notified of each job of ours that ends, for traces.
    pub observer: Option<Arc<dyn JobObserver>>,
}

/// Somebody who wants to know when a job of ours has ended. Must not block.
pub trait JobObserver: Send + Sync + 'static {
    /// The job has ended; its runner, if it is recorded.
    fn ended(&self, job: &Job, runner: Option<&Runner>);
}

impl World {
    /// The policy of a set as it is at this moment.
    #[must_use]
    pub fn set(&self, name: &ScaleSetName) -> Option<ScaleSet> {
        self.sets.get(name)
    }
}
