//! The loops of one process: a worker that records facts, one loop per scale set, the machines' voice, and the timer.
//! They only wake each other; what is done is decided by the planner, and safety lies in the ledger's leases.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use runnersmith_controllers::{Depth, World, chain, consume, housekeeping, pass, timer};
use runnersmith_ports::LedgerError;
use runnersmith_types::ScaleSetName;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// How often things are looked at without any signal.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// A full pass of every set.
    pub full_pass: Duration,
    /// A sweep of the active repositories, and the delivery log.
    pub sweep: Duration,
    /// Dropping old history.
    pub prune: Duration,
    /// How long a lease holds without being renewed.
    pub lease: Duration,
    /// How long ended things are kept.
    pub history: Duration,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self {
            full_pass: Duration::from_secs(60),
            sweep: Duration::from_secs(300),
            prune: Duration::from_secs(600),
            lease: runnersmith_controllers::pass::LEASE_TTL,
            history: Duration::from_secs(30 * 86_400),
        }
    }
}

/// Wakes the loop of each set.
#[derive(Clone)]
pub struct Wakers(Arc<BTreeMap<ScaleSetName, Notify>>);

impl Wakers {
    fn new(world: &World) -> Self {
        Self(Arc::new(world.sets.iter().map(|set| (set.name.clone(), Notify::new())).collect()))
    }
    fn wake(&self, set: &ScaleSetName) {
        if let Some(waker) = self.0.get(set) {
            waker.notify_one();
        }
    }
    fn wake_all(&self) {
        self.0.values().for_each(Notify::notify_one);
    }
}

/// Starts all loops. They end when `stop` says so, each after what it is doing.
pub fn start(world: &World, rhythm: Rhythm, stop: &watch::Receiver<bool>) -> JoinSet<()> {
    let wakers = Wakers::new(world);
    let mut tasks = JoinSet::new();
    tasks.spawn(work(world.clone(), wakers.clone(), stop.clone()));
    tasks.spawn(listen(world.clone(), wakers.clone(), stop.clone()));
    tasks.spawn(sweep(world.clone(), rhythm, wakers.clone(), stop.clone()));
    for set in world.sets.iter() {
        tasks.spawn(look(world.clone(), set.name.clone(), rhythm, wakers.clone(), stop.clone()));
    }
    wakers.wake_all();
    tasks
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A dropped sender means that the server is gone, which is a stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The worker: messages to facts.
async fn work(world: World, wakers: Wakers, mut stop: watch::Receiver<bool>) {
    const BATCH: usize = 200;
    loop {
        let batch = match world.ports.queue.receive(BATCH, consume::VISIBILITY).await {
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(error = %chain(&error), "the queue cannot be read");
                Vec::new()
            }
        };
        if batch.is_empty() {
            tokio::select! {
                () = world.ports.queue.wait(Duration::from_secs(1)) => {}
                () = stopped(&mut stop) => return,
            }
            continue;
        }
        match consume::consume(&world, batch).await {
            Ok(woken) => woken.iter().for_each(|set| wakers.wake(set)),
            Err(error) => tracing::error!(error = %chain(&error), "messages could not be consumed; they come again"),
        }
        if *stop.borrow() {
            return;
        }
    }
}

/// One set's loop: woken by facts, by its own delayed messages, by machines, and by the timer.
async fn look(world: World, set: ScaleSetName, rhythm: Rhythm, wakers: Wakers, mut stop: watch::Receiver<bool>) {
    let Some(waker) = wakers.0.get(&set) else { return };
    let mut full = tokio::time::interval(rhythm.full_pass);
    full.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let depth = tokio::select! {
            _ = full.tick() => Depth::Full,
            () = waker.notified() => Depth::Signal,
            () = stopped(&mut stop) => return,
        };
        if let Err(error) = pass(&world, &set, depth).await {
            tracing::error!(error = %chain(&error), set = %set, "a pass failed; the next one goes on");
        }
    }
}

/// The machines' voice: when one may have changed, its sets look.
async fn listen(world: World, wakers: Wakers, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = world.ports.machines.wait(Duration::from_secs(5)) => wakers.wake_all(),
            () = stopped(&mut stop) => return,
        }
    }
}

/// Hand-offs that nobody will read, and runners of sets that the configuration does not name any more.
async fn leftovers(world: &World) -> Result<(), LedgerError> {
    let gone = housekeeping::expire_hand_offs(world).await?;
    if gone > 0 {
        tracing::info!(gone, "hand-offs that nobody will read are deleted");
    }
    let (world, retired) = housekeeping::retired(world, &BTreeSet::new()).await?;
    for set in retired {
        tracing::info!(set = %set, "the configuration does not name this scale set any more; its runners go");
        pass(&world, &set, Depth::Full).await?;
    }
    Ok(())
}

/// The timer's duties.
async fn sweep(world: World, rhythm: Rhythm, wakers: Wakers, mut stop: watch::Receiver<bool>) {
    let mut sweep = tokio::time::interval(rhythm.sweep);
    let mut prune = tokio::time::interval(rhythm.prune);
    loop {
        tokio::select! {
            _ = sweep.tick() => {
                match timer::redeliver(&world).await {
                    Ok(0) => {}
                    Ok(count) => tracing::info!(count, "deliveries that had failed are asked for again"),
                    Err(error) => tracing::error!(error = %chain(&error), "the delivery log could not be worked through"),
                }
                match timer::sweep(&world).await {
                    Ok(woken) => woken.iter().for_each(|set| wakers.wake(set)),
                    Err(error) => tracing::error!(error = %chain(&error), "the sweep failed"),
                }
            }
            _ = prune.tick() => {
                if let Err(error) = timer::prune(&world, rhythm.history).await {
                    tracing::error!(error = %chain(&error), "old history could not be dropped");
                }
                if let Err(error) = leftovers(&world).await {
                    tracing::error!(error = %chain(&error), "what is left of sets that are gone could not be worked through");
                }
            }
            () = stopped(&mut stop) => return,
        }
    }
}
