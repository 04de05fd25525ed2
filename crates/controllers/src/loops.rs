//! The loops of one process: a worker that records facts, one loop per scale set, the machines' status, and the timer.
//! They only wake each other; what is done is decided by the planner, and safety lies in the ledger's leases.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runnersmith_ports::{LedgerError, Queue, chain};
use runnersmith_types::{ScaleSet, ScaleSetName, Timestamp};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::driver::{Driver, stopped, supervise};
use crate::observe::Depth;
use crate::pass::pass;
use crate::tasks::{self, BackgroundTask};
use crate::world::World;
use crate::{consume, housekeeping, lookups, timer};

/// How often things are checked without any message.
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
            lease: crate::pass::LEASE_TTL,
            history: Duration::from_secs(30 * 86_400),
        }
    }
}

/// Wakes the loop of each set.
#[derive(Clone, Default)]
struct Wakers(Arc<Mutex<BTreeMap<ScaleSetName, Arc<Notify>>>>);

impl Wakers {
    fn all(&self) -> MutexGuard<'_, BTreeMap<ScaleSetName, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// The waker of a set whose loop begins.
    fn of(&self, set: &ScaleSetName) -> Arc<Notify> {
        self.all().entry(set.clone()).or_default().clone()
    }
    fn forget(&self, set: &ScaleSetName) {
        self.all().remove(set);
    }
    fn wake(&self, set: &ScaleSetName) {
        if let Some(waker) = self.all().get(set) {
            waker.notify_one();
        }
    }
    fn wake_all(&self) {
        self.all().values().for_each(|waker| waker.notify_one());
    }
}

/// Starts all background tasks of a server; one of them keeps a loop for each scale set, now and whenever one comes. They end when
/// `stop` says so, each after what it is doing.
pub fn start(world: &World, rhythm: Rhythm, stop: &watch::Receiver<bool>) -> JoinSet<()> {
    let wakers = Wakers::default();
    let sweep_now = Arc::new(Notify::new());
    let mut driver = Driver::new(world.tasks.clone(), world.ports.clock.clone(), stop.clone());
    let with = |world: &World, wakers: &Wakers| (world.clone(), wakers.clone());

    let (here, wake) = with(world, &wakers);
    driver.spawn("messages", "records deliveries and wakes the scale sets that they concern", move |task, stop| {
        drain_queue(here.clone(), here.ports.queue.clone(), Work::Facts, wake.clone(), task, stop)
    });
    if let Some(queue) = world.ports.lookups.clone() {
        let (here, wake) = with(world, &wakers);
        driver.spawn("look-ups", "asks GitHub for the jobs of repositories and check runs", move |task, stop| {
            drain_queue(here.clone(), queue.clone(), Work::LookUps, wake.clone(), task, stop)
        });
    }
    let (here, wake) = with(world, &wakers);
    driver.spawn(
        "machine status",
        "wakes all scale sets when the status of a machine may have changed",
        move |task, stop| listen(here.clone(), wake.clone(), task, stop),
    );
    let (here, wake) = with(world, &wakers);
    driver.spawn(
        "scale sets",
        "keeps one loop for each scale set, and for each that is draining",
        move |task, stop| keep(here.clone(), rhythm, wake.clone(), task, stop),
    );
    let (here, now) = (world.clone(), sweep_now.clone());
    driver.spawn("policy", "starts a sweep when scale sets serve jobs that none served before", move |task, stop| {
        watch_policy(here.clone(), now.clone(), task, stop)
    });
    let here = world.clone();
    driver.every(
        "redelivery",
        "asks GitHub again for deliveries that failed",
        rhythm.sweep,
        Arc::default(),
        move || redeliver(here.clone()),
    );
    let (here, wake) = with(world, &wakers);
    driver.every("sweep", "finds queued jobs that no delivery reported", rhythm.sweep, sweep_now, move || {
        sweep(here.clone(), rhythm.sweep, wake.clone())
    });
    let here = world.clone();
    driver.every("history", "drops history that is too old", rhythm.prune, Arc::default(), move || {
        prune(here.clone(), rhythm.history)
    });
    let here = world.clone();
    driver.every("hand-offs", "deletes hand-offs that no machine will read", rhythm.prune, Arc::default(), move || {
        leftovers(here.clone())
    });
    let here = world.clone();
    driver.every(
        "task status",
        "records what the background tasks do",
        TASKS_STORED_EVERY,
        Arc::default(),
        move || store_tasks(here.clone()),
    );
    driver.into_running()
}

/// How often the tasks' status is written into the ledger.
const TASKS_STORED_EVERY: Duration = Duration::from_secs(60);

async fn store_tasks(world: World) -> Result<(), String> {
    let ports = &world.ports;
    let mut faults = world.faults.all(&[], ports.clock.now());
    faults.extend(world.levels.all().into_values().flat_map(|level| level.faults));
    let stored = tasks::store(ports.ledger.as_ref(), ports.clock.as_ref(), &world.holder, &world.tasks, faults).await;
    stored.map_err(|error| chain(&error))
}

/// What the messages of a queue are.
#[derive(Clone, Copy)]
enum Work {
    Facts,
    /// The next batch waits for the slowest of this one.
    LookUps,
}

/// The most messages of deliveries that are recorded together.
const FACTS_MAX: usize = 200;

/// Receives batches of messages and consumes them, until a stop.
async fn drain_queue(
    world: World,
    queue: Arc<dyn Queue>,
    work: Work,
    wakers: Wakers,
    task: BackgroundTask,
    mut stop: watch::Receiver<bool>,
) {
    let clock = world.ports.clock.clone();
    let (max, visibility) = match work {
        Work::Facts => (FACTS_MAX, consume::VISIBILITY),
        Work::LookUps => (lookups::AT_ONCE, lookups::VISIBILITY),
    };
    while !*stop.borrow() {
        task.begin(clock.now());
        let result = match queue.receive(max, visibility).await {
            Ok(batch) if batch.is_empty() => None,
            Ok(batch) => Some(Ok(match work {
                Work::Facts => consume::consume(&world, batch).await,
                Work::LookUps => lookups::look_up(&world, queue.as_ref(), batch).await,
            })),
            Err(error) => Some(Err(error)),
        };
        let pause = match result {
            None => {
                task.end(clock.now(), Ok(()));
                queue.wait(QUEUE_WAIT)
            }
            Some(Ok(consumed)) => {
                consumed.woken.iter().for_each(|set| wakers.wake(set));
                task.end(clock.now(), consumed.failed.into_iter().next().map_or(Ok(()), Err));
                continue;
            }
            Some(Err(error)) => {
                tracing::error!(error = %chain(&error), "the queue cannot be read");
                task.end(clock.now(), Err(chain(&error)));
                clock.sleep(QUEUE_RETRY)
            }
        };
        tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            () = pause => {}
        }
    }
}

/// How long an empty queue is waited for before it is read again.
const QUEUE_WAIT: Duration = Duration::from_secs(1);
/// The pause after the queue could not be read.
const QUEUE_RETRY: Duration = Duration::from_secs(1);

/// Keeps one loop for each set that there is, and for each that is on its way out: those that come get theirs at once, and
/// those that go keep theirs until nothing is left of them. One that panics is started again, with backoff.
async fn keep(world: World, rhythm: Rhythm, wakers: Wakers, task: BackgroundTask, mut stop: watch::Receiver<bool>) {
    let clock = world.ports.clock.clone();
    let mut changes = world.sets.subscribe();
    let (mut loops, mut running) = (JoinSet::new(), BTreeSet::<ScaleSetName>::new());
    let mut next_round = clock.now();
    loop {
        let wanted: Vec<ScaleSetName> = tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            // Sets that were taken out begin to drain now, and jobs may go to another set than before.
            changed = changes.changed() => {
                if changed.is_err() { break }
                wakers.wake_all();
                Vec::new()
            }
            Some(ended) = loops.join_next() => {
                if let Ok(set) = ended {
                    wakers.forget(&set);
                    running.remove(&set);
                }
                Vec::new()
            }
            () = clock.sleep(next_round.since(clock.now()).min(rhythm.sweep)) => {
                next_round = clock.now().plus(rhythm.sweep);
                task.begin(clock.now());
                // Runners of sets that nothing names any more: left by an earlier run, or by another configuration.
                let found = housekeeping::retired(&world, &BTreeSet::new()).await;
                task.end(clock.now(), found.as_ref().map(|_| ()).map_err(|error| chain(error)));
                task.next(next_round);
                match found {
                    Ok((_, retired)) => retired.into_iter().collect(),
                    Err(error) => {
                        tracing::error!(error = %chain(&error), "sets that are gone could not be looked for");
                        Vec::new()
                    }
                }
            }
        };
        // Also after a loop's end: its set may have come back meanwhile.
        let named = changes.borrow_and_update().clone();
        for set in wanted.into_iter().chain(named.iter().map(|set| set.name.clone())) {
            if running.insert(set.clone()) {
                loops.spawn(supervised(world.clone(), set.clone(), rhythm, wakers.of(&set), stop.clone()));
            }
        }
    }
    while loops.join_next().await.is_some() {}
}

/// One set's loop as a task of its own, until nothing is left of the set. Returns which it was.
async fn supervised(
    world: World,
    set: ScaleSetName,
    rhythm: Rhythm,
    waker: Arc<Notify>,
    stop: watch::Receiver<bool>,
) -> ScaleSetName {
    let name = format!("scale set {set}");
    let task = world.tasks.register(&name, "compares what is with what should be, and acts", Some(rhythm.full_pass));
    let (clock, of) = (world.ports.clock.clone(), set.clone());
    let body = move |task, stop| reconcile(world.clone(), of.clone(), rhythm, waker.clone(), task, stop);
    supervise(task.clone(), clock, stop, body).await;
    task.forget();
    set
}

/// A set on its way out needs GitHub's own word for each removal, but a burst of signals need not ask for it each time.
const DRAIN_CHECKED_EVERY: Duration = Duration::from_secs(1);

/// One set's loop: woken by facts, by its own delayed messages, by machines, and by the timer. It ends when the set is gone and
/// nothing is left of it.
async fn reconcile(
    world: World,
    set: ScaleSetName,
    rhythm: Rhythm,
    waker: Arc<Notify>,
    task: BackgroundTask,
    mut stop: watch::Receiver<bool>,
) {
    let clock = world.ports.clock.clone();
    let mut full_at = clock.now();
    let (mut announced, mut full_drain): (bool, Option<Timestamp>) = (false, None);
    loop {
        task.next(full_at);
        let mut depth = tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            // Never longer than a period, also when the wall clock was set back.
            () = clock.sleep(full_at.since(clock.now()).min(rhythm.full_pass)) => Depth::Full,
            () = waker.notified() => Depth::Partial,
        };
        if depth == Depth::Full {
            full_at = clock.now().plus(rhythm.full_pass);
        }
        task.begin(clock.now());
        if world.set(&set).is_some() {
            (announced, full_drain) = (false, None);
            let passed = pass(&world, &set, depth).await;
            if let Err(error) = &passed {
                tracing::error!(error = %chain(error), set = %set, "a pass failed; the next one goes on");
            }
            task.end(clock.now(), passed.map(|_| ()).map_err(|error| chain(&error)));
            continue;
        }
        match full_drain.map(|at| clock.now().since(at)).filter(|ago| *ago < DRAIN_CHECKED_EVERY) {
            None => {
                depth = Depth::Full;
                full_drain = Some(clock.now());
            }
            Some(ago) => full_at = clock.now().plus(DRAIN_CHECKED_EVERY.saturating_sub(ago)),
        }
        if !announced {
            tracing::info!(set = %set, "nothing names this scale set any more; its runners go");
            announced = true;
        }
        let drained = drain(&world, &set, depth).await;
        task.end(clock.now(), drained.as_ref().map(|_| ()).map_err(|error| chain(error)));
        match drained {
            Ok(Left::Something) => {}
            // Who counts what is left holds the lease for a moment.
            Ok(Left::HeldElsewhere) => {
                full_drain = None;
                full_at = clock.now().plus(DRAIN_CHECKED_EVERY);
            }
            Ok(Left::Nothing) => {
                tracing::info!(set = %set, "nothing is left of this scale set");
                return;
            }
            Err(error) => tracing::error!(error = %chain(&error), set = %set, "a pass failed; the next one goes on"),
        }
    }
}

/// What a pass over a set that is gone left of it.
enum Left {
    Something,
    /// It is not known: somebody else holds the lease.
    HeldElsewhere,
    Nothing,
}

/// A pass over a set that is gone.
async fn drain(world: &World, set: &ScaleSetName, depth: Depth) -> Result<Left, LedgerError> {
    let none = BTreeSet::new();
    let (there, retired) = housekeeping::retired(world, &none).await?;
    if retired.contains(set) {
        if pass(&there, set, depth).await?.held_elsewhere {
            return Ok(Left::HeldElsewhere);
        }
        if housekeeping::retired(world, &none).await?.1.contains(set) {
            return Ok(Left::Something);
        }
    }
    if world.set(set).is_none() {
        world.levels.forget(set);
    }
    Ok(Left::Nothing)
}

/// The machines' status: when one may have changed, its sets are reconciled.
async fn listen(world: World, wakers: Wakers, task: BackgroundTask, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            () = world.ports.machines.wait(Duration::from_secs(5)) => {}
        }
        task.begin(world.ports.clock.now());
        wakers.wake_all();
        task.end(world.ports.clock.now(), Ok(()));
    }
}

/// Hand-offs that nobody will read.
async fn leftovers(world: World) -> Result<(), String> {
    let gone = housekeeping::expire_hand_offs(&world).await.map_err(|error| chain(&error))?;
    if gone > 0 {
        tracing::info!(gone, "hand-offs that nobody will read are deleted");
    }
    Ok(())
}

async fn prune(world: World, keep: Duration) -> Result<(), String> {
    timer::prune(&world, keep).await.map(|_| ()).map_err(|error| chain(&error))
}

async fn redeliver(world: World) -> Result<(), String> {
    let count = timer::redeliver(&world).await.map_err(|error| chain(&error))?;
    if count > 0 {
        tracing::info!(count, "deliveries that had failed are asked for again");
    }
    Ok(())
}

async fn sweep(world: World, period: Duration, wakers: Wakers) -> Result<(), String> {
    let swept = timer::sweep(&world, period).await.map_err(|error| chain(&error))?;
    swept.woken.iter().for_each(|set| wakers.wake(set));
    if swept.failed.is_empty() { Ok(()) } else { Err(swept.failed.join("; ")) }
}

/// Whether new sets may serve jobs that were rejected at intake before, because no set served them: then the repositories are
/// swept for such. It is enough that a set serves others than before; whether those are more is not asked.
fn may_serve_more(old: &[ScaleSet], new: &[ScaleSet]) -> bool {
    let serves_as = |a: &ScaleSet, b: &ScaleSet| {
        (&a.name, &a.labels, a.serves_unlabelled, &a.scope) == (&b.name, &b.labels, b.serves_unlabelled, &b.scope)
    };
    new.iter().any(|set| !old.iter().any(|known| serves_as(known, set)))
}

/// Starts a sweep when the sets serve jobs that none of them served before.
async fn watch_policy(world: World, sweep_now: Arc<Notify>, task: BackgroundTask, mut stop: watch::Receiver<bool>) {
    let mut changes = world.sets.subscribe();
    let mut known = changes.borrow_and_update().clone();
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
        task.begin(world.ports.clock.now());
        let now = changes.borrow_and_update().clone();
        if may_serve_more(&known, &now) {
            sweep_now.notify_one();
        }
        known = now;
        task.end(world.ports.clock.now(), Ok(()));
    }
}

#[cfg(test)]
mod tests {
    use runnersmith_types::{Label, Owner, RepoPattern, RunnerScope, Scope};

    use super::*;

    fn set(name: &str) -> ScaleSet {
        let labels = BTreeSet::from([Label::of_set("self-hosted").unwrap(), Label::of_set(name).unwrap()]);
        ScaleSet::new(ScaleSetName::parse(name).unwrap(), labels)
    }

    #[test]
    fn jobs_are_looked_for_when_a_set_comes_or_serves_others_than_before() {
        let linux = || set("linux");
        let scope = || linux().scope;
        let more = BTreeSet::from([Label::of_set("self-hosted").unwrap(), Label::of_set("gpu").unwrap()]);
        let acme = RunnerScope::Organization(Owner::parse("acme").unwrap());
        for (what, new, expected) in [
            ("the same", vec![linux()], false),
            ("none", Vec::new(), false),
            ("one more", vec![linux(), set("gpu")], true),
            ("another", vec![set("gpu")], true),
            ("another name", vec![ScaleSet { name: set("gpu").name, ..linux() }], true),
            ("other labels", vec![ScaleSet { labels: more, ..linux() }], true),
            ("jobs without labels", vec![ScaleSet { serves_unlabelled: true, ..linux() }], true),
            ("another place", vec![ScaleSet { scope: Scope { at: Some(acme), ..scope() }, ..linux() }], true),
            (
                "other repositories",
                vec![ScaleSet { scope: Scope { allowed: vec![RepoPattern("acme/*".into())], ..scope() }, ..linux() }],
                true,
            ),
            ("another maximum", vec![ScaleSet { runners_max: 9, ..linux() }], false),
            ("another priority", vec![ScaleSet { priority: 9, ..linux() }], false),
        ] {
            assert_eq!(may_serve_more(&[linux()], &new), expected, "{what}");
        }
    }
}
