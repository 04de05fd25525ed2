//! One world from its seed to its end.

use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, Once};
use std::time::Duration;

use runnersmith_controllers::levels::Levels;
use runnersmith_controllers::loops::{self, Rhythm};
use runnersmith_controllers::metrics::Metrics;
use runnersmith_controllers::pass::LEASE_TTL;
use runnersmith_controllers::{CallLimits, Ports, Sets, World, housekeeping};
use runnersmith_ports::Clock as _;
use runnersmith_types::ControlPlaneId;
use tokio::sync::watch;

use crate::checks::Violation;
use crate::end;
use crate::github_wire::GitHubWire;
use crate::ledger::MemoryLedger;
use crate::ledger_wire::LedgerWire;
use crate::options::{OUR_ID, Options};
use crate::outside::{Counts, Outside, Whose};
use crate::process::{Process, Shared};
use crate::queue::MemoryQueue;
use crate::queue_wire::QueueWire;
use crate::time::{VirtualClock, secs};
use crate::wires::{HandOffWire, MachinesWire};

/// Changes what a control plane is made of, before it starts: how a test puts a bug in.
pub type Alter = Arc<dyn Fn(World) -> World + Send + Sync>;

/// What came of a world.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was chosen.
    pub options: Options,
    /// The rules that were broken.
    pub violations: Vec<Violation>,
    /// What was counted.
    pub counts: Counts,
    /// Passes and their rounds.
    pub passes: (u64, u64),
    /// The hash of the whole trace.
    pub hash: String,
    /// How many lines the trace had.
    pub lines: u64,
    /// The trace's end.
    pub tail: Vec<String>,
}

impl fmt::Display for Report {
    /// Enough to run it again and to begin to understand it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.options.seed, self.options)?;
        writeln!(f, "the last {} of {} lines:", self.tail.len(), self.lines)?;
        self.tail.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        writeln!(f, "{:?}; {} passes, {} rounds; trace {}", self.counts, self.passes.0, self.passes.1, self.hash)?;
        self.violations.iter().try_for_each(|violation| writeln!(f, "  {violation}"))?;
        write!(f, "again: WORLD_SEED={} cargo test -p runnersmith-world --test seeds", self.options.seed)
    }
}

thread_local! {
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

/// Counts panics of this thread: a task's panic is caught, and would be seen by nobody.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.with(|count| count.set(count.get() + 1));
            before(panic);
        }));
    });
    PANICS.with(|count| count.set(0));
}

/// Runs the world of these options; `alter` may put something in the way of its control planes.
///
/// # Panics
/// When no runtime can be made.
#[must_use]
pub fn run(options: Options, alter: Option<&Alter>, whole_trace: bool) -> Report {
    count_panics();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => panic!("no runtime: {error}"),
    };
    runtime.block_on(world(options, alter.cloned(), whole_trace))
}

async fn world(options: Options, alter: Option<Alter>, whole_trace: bool) -> Report {
    let clock = VirtualClock::begin();
    let (queue, lookups) = (MemoryQueue::new(Arc::new(clock)), MemoryQueue::new(Arc::new(clock)));
    let (queue, lookups) = (Arc::new(queue), Arc::new(lookups));
    let control_plane = match ControlPlaneId::parse(OUR_ID) {
        Ok(id) => id,
        Err(error) => panic!("{error}"),
    };
    let ledger = Arc::new(MemoryLedger::new(Arc::new(clock), control_plane));
    let mut outside = Outside::new(options.clone(), clock, queue.clone(), whole_trace);
    outside.schedule_runs();
    let shared = Arc::new(Shared::new(clock, ledger, (queue, lookups), outside));
    let planes: Vec<_> =
        (1..=options.processes).map(|number| tokio::spawn(keep_alive(shared.clone(), number, alter.clone()))).collect();
    tokio::select! {
        biased;
        () = over(&shared, &options) => {}
        () = shared.live() => {}
    }
    planes.iter().for_each(tokio::task::JoinHandle::abort);
    end::check(&shared, PANICS.with(Cell::get));
    shared.with(|outside| Report {
        options,
        violations: outside.checks.violations.clone(),
        counts: outside.counts,
        passes: (outside.checks.passes_begun, outside.checks.rounds),
        hash: outside.trace.hash(),
        lines: outside.trace.lines(),
        tail: outside.trace.tail(),
    })
}

/// Returns when the quiet time is over. It is longer while jobs still begin and end, so that a long line is no fault, and so long after
/// the last of them that what ran them can be gone.
async fn over(shared: &Shared, options: &Options) {
    shared.clock.sleep(options.busy_time + options.quiet_time).await;
    for _ in 0..MORE_MAX {
        let (moved_at, waits) = shared.with(|outside| {
            let waits = outside.jobs.values().any(|job| job.whose == Whose::Ours && job.status.is_open());
            (outside.job_moved_at, waits)
        });
        let still = shared.clock.now().since(moved_at);
        if still >= if waits { STUCK_AFTER } else { CLEAN_AFTER } {
            return;
        }
        shared.clock.sleep(secs(600)).await;
    }
}

/// No job has begun or ended for so long: none will. The longest job takes half an hour, and launches may be paused for an hour.
const STUCK_AFTER: Duration = secs(2 * 3_600);
/// So long after the last job nothing of it may be left: a hand-off is kept for an hour, and looked for every ten minutes.
const CLEAN_AFTER: Duration = secs(75 * 60);
/// A world is at most so many ten minutes longer.
const MORE_MAX: u32 = 200;

/// Runs a control plane, and starts it again from the ledger each time it has died.
async fn keep_alive(shared: Arc<Shared>, number: u32, alter: Option<Alter>) {
    for life in 1_u32.. {
        let process = Arc::new(Process::new(number, life, shared.clone()));
        process.note("starts");
        let world = control_plane(&process);
        let world = alter.as_ref().map_or_else(|| world.clone(), |alter| alter(world.clone()));
        let (_stop, stop) = watch::channel(false);
        let tasks = loops::start(&world, Rhythm::default(), &stop);
        process.dies().await;
        drop(tasks);
        let after = shared.with(|outside| outside.random.crashes.between(1, 60));
        shared.clock.sleep(secs(after)).await;
    }
}

/// What a control plane is made of.
fn control_plane(process: &Arc<Process>) -> World {
    let shared = &process.shared;
    let sets = shared.with(|outside| outside.options.sets.clone());
    World {
        ports: Ports {
            queue: Arc::new(QueueWire::new(process.clone(), shared.queue.clone())),
            lookups: Some(Arc::new(QueueWire::new(process.clone(), shared.lookups.clone()))),
            ledger: Arc::new(LedgerWire::new(process.clone())),
            machines: Arc::new(MachinesWire::new(process.clone())),
            hand_off: Arc::new(HandOffWire::new(process.clone())),
            github: Arc::new(GitHubWire::new(process.clone())),
            clock: Arc::new(shared.clock),
        },
        sets: Sets::new(sets),
        retired: housekeeping::retired_timing(),
        limits: CallLimits { jit_per_minute: 150, calls_per_minute: 900 },
        levels: Arc::new(Levels::default()),
        metrics: Arc::new(Metrics::new()),
        tasks: Arc::default(),
        faults: Arc::default(),
        holder: process.holder.clone(),
        lease_ttl: LEASE_TTL,
        observer: None,
    }
}
