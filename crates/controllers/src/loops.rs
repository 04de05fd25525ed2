//! The loops of one process: a worker that records facts, one loop per scale set, the machines' status, and the timer.
//! They only wake each other; what is done is decided by the planner, and safety lies in the ledger's leases.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runnersmith_ports::LedgerError;
use runnersmith_types::{ScaleSet, ScaleSetName};
use tokio::sync::{Notify, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use runnersmith_ports::chain;

use crate::observe::Depth;
use crate::pass::pass;
use crate::world::World;
use crate::{consume, housekeeping, timer};

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

/// Starts all loops: one for each scale set, now and whenever one comes. They end when `stop` says so, each after what it is doing.
pub fn start(world: &World, rhythm: Rhythm, stop: &watch::Receiver<bool>) -> JoinSet<()> {
    let wakers = Wakers::default();
    let mut tasks = JoinSet::new();
    tasks.spawn(work(world.clone(), wakers.clone(), stop.clone()));
    tasks.spawn(listen(world.clone(), wakers.clone(), stop.clone()));
    tasks.spawn(sweep(world.clone(), rhythm, wakers.clone(), stop.clone()));
    tasks.spawn(keep(world.clone(), rhythm, wakers, stop.clone()));
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

/// Keeps one loop for each set that there is, and for each that is on its way out: those that come get theirs at once, and
/// those that go keep theirs until nothing is left of them. One that ends by itself is begun again by the next round, and not
/// sooner: what ended it may be there still.
async fn keep(world: World, rhythm: Rhythm, wakers: Wakers, mut stop: watch::Receiver<bool>) {
    let mut changes = world.sets.subscribe();
    let mut round = tokio::time::interval(rhythm.sweep);
    let (mut loops, mut running) = (JoinSet::new(), BTreeSet::<ScaleSetName>::new());
    let mut sets_of: HashMap<Id, ScaleSetName> = HashMap::new();
    let mut broken: Vec<ScaleSetName> = Vec::new();
    loop {
        let wanted: Vec<ScaleSetName> = tokio::select! {
            _ = round.tick() => {
                for set in broken.drain(..) {
                    running.remove(&set);
                }
                // Runners of sets that nothing names any more: left by an earlier run, or by another configuration.
                match housekeeping::retired(&world, &BTreeSet::new()).await {
                    Ok((_, retired)) => retired.into_iter().collect(),
                    Err(error) => {
                        tracing::error!(error = %chain(&error), "sets that are gone could not be looked for");
                        Vec::new()
                    }
                }
            }
            // Sets that were taken out begin to drain now, and jobs may go to another set than before.
            changed = changes.changed() => {
                if changed.is_err() { break }
                wakers.wake_all();
                Vec::new()
            }
            Some(ended) = loops.join_next_with_id() => {
                match ended {
                    Ok((task, set)) => {
                        sets_of.remove(&task);
                        wakers.forget(&set);
                        running.remove(&set);
                    }
                    Err(error) => {
                        let set = sets_of.remove(&error.id());
                        let named = set.as_ref().map(tracing::field::display);
                        tracing::error!(error = %error, set = named, "the loop of a scale set has ended by itself");
                        broken.extend(set);
                    }
                }
                Vec::new()
            }
            () = stopped(&mut stop) => break,
        };
        // Also after a loop's end: its set may have come back meanwhile.
        let named = changes.borrow_and_update().clone();
        for set in wanted.into_iter().chain(named.iter().map(|set| set.name.clone())) {
            if running.insert(set.clone()) {
                let waker = wakers.of(&set);
                let task = loops.spawn(reconcile(world.clone(), set.clone(), rhythm, waker, stop.clone()));
                sets_of.insert(task.id(), set);
            }
        }
    }
    while loops.join_next().await.is_some() {}
}

/// A set on its way out needs GitHub's own word for each removal, but a burst of signals need not ask for it each time.
const DRAIN_CHECKED_EVERY: Duration = Duration::from_secs(1);

/// One set's loop: woken by facts, by its own delayed messages, by machines, and by the timer. It ends when the set is gone and
/// nothing is left of it, and returns which it was.
async fn reconcile(
    world: World,
    set: ScaleSetName,
    rhythm: Rhythm,
    waker: Arc<Notify>,
    mut stop: watch::Receiver<bool>,
) -> ScaleSetName {
    let mut full = tokio::time::interval(rhythm.full_pass);
    full.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut announced, mut checked): (bool, Option<Instant>) = (false, None);
    loop {
        let mut depth = tokio::select! {
            _ = full.tick() => Depth::Full,
            () = waker.notified() => Depth::Partial,
            () = stopped(&mut stop) => return set,
        };
        if world.set(&set).is_some() {
            (announced, checked) = (false, None);
            if let Err(error) = pass(&world, &set, depth).await {
                tracing::error!(error = %chain(&error), set = %set, "a pass failed; the next one goes on");
            }
            continue;
        }
        match checked.map(|at| at.elapsed()).filter(|ago| *ago < DRAIN_CHECKED_EVERY) {
            None => {
                depth = Depth::Full;
                checked = Some(Instant::now());
            }
            Some(ago) => full.reset_after(DRAIN_CHECKED_EVERY.saturating_sub(ago)),
        }
        if !announced {
            tracing::info!(set = %set, "nothing names this scale set any more; its runners go");
            announced = true;
        }
        match drain(&world, &set, depth).await {
            Ok(Left::Something) => {}
            // Who counts what is left holds the lease for a moment.
            Ok(Left::HeldElsewhere) => {
                checked = None;
                full.reset_after(DRAIN_CHECKED_EVERY);
            }
            Ok(Left::Nothing) => {
                tracing::info!(set = %set, "nothing is left of this scale set");
                return set;
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
async fn listen(world: World, wakers: Wakers, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = world.ports.machines.wait(Duration::from_secs(5)) => wakers.wake_all(),
            () = stopped(&mut stop) => return,
        }
    }
}

/// Hand-offs that nobody will read.
async fn leftovers(world: &World) -> Result<(), LedgerError> {
    let gone = housekeeping::expire_hand_offs(world).await?;
    if gone > 0 {
        tracing::info!(gone, "hand-offs that nobody will read are deleted");
    }
    Ok(())
}

/// Whether new sets may serve jobs that were rejected at intake before, because no set served them: then the repositories are
/// swept for such. It is enough that a set serves others than before; whether those are more is not asked.
fn may_serve_more(old: &[ScaleSet], new: &[ScaleSet]) -> bool {
    let serves_as = |a: &ScaleSet, b: &ScaleSet| {
        (&a.name, &a.labels, a.serves_unlabelled, &a.scope) == (&b.name, &b.labels, b.serves_unlabelled, &b.scope)
    };
    new.iter().any(|set| !old.iter().any(|known| serves_as(known, set)))
}

/// The timer's duties.
async fn sweep(world: World, rhythm: Rhythm, wakers: Wakers, mut stop: watch::Receiver<bool>) {
    let mut sweep = tokio::time::interval(rhythm.sweep);
    let mut prune = tokio::time::interval(rhythm.prune);
    let mut changes = world.sets.subscribe();
    let mut known = changes.borrow_and_update().clone();
    loop {
        tokio::select! {
            changed = changes.changed() => {
                if changed.is_err() { return }
                let now = changes.borrow_and_update().clone();
                if may_serve_more(&known, &now) {
                    sweep.reset_immediately();
                }
                known = now;
            }
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
                    tracing::error!(error = %chain(&error), "hand-offs that nobody will read could not be looked for");
                }
            }
            () = stopped(&mut stop) => return,
        }
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
