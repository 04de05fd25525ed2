//! Taking sets out of service while their policies stay: what a deletion does before anything is destroyed.
//!
//! The flag is in the ledger and not in the policy, for three reasons. Every process that runs the loop reads it with each pass, so that no
//! process goes on by settings that it read minutes ago. Anyone who has taken the set's lease once after the flag was made
//! knows that nothing is launched any more, without trusting a clock. And the policy stays Terraform's: nothing has to be put
//! back that a half-done destruction may have removed for good.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use runnersmith_ports::{
    Clock, HandOff, HandOffError, Ledger, LedgerError, Machines, MachinesError, Message, Queue, QueueError,
    ReleaseOutcome,
};
use runnersmith_types::{
    EventKind, HistoryEvent, Machine, MachineId, MachineState, Runner, RunnerState, ScaleSet, ScaleSetName, Timing,
    saturating_u32,
};

/// Why a set could not be taken out of service, or what is left of it is not known.
#[derive(Debug, thiserror::Error)]
pub enum ClosingError {
    /// The ledger.
    #[error("take sets out of service")]
    Ledger(#[from] LedgerError),
    /// Machines.
    #[error("take sets out of service")]
    Machines(#[from] MachinesError),
    /// Hand-offs.
    #[error("take sets out of service")]
    HandOff(#[from] HandOffError),
    /// The queue.
    #[error("take sets out of service")]
    Queue(#[from] QueueError),
    /// A pass over the set has not ended: what it launches is not known yet.
    #[error("take {0} out of service: a pass over it has not ended yet; hint: try again")]
    InPass(ScaleSetName),
}

/// The ports that closing needs; GitHub is not one of them.
#[derive(Clone)]
pub struct DrainPorts {
    /// Records.
    pub ledger: Arc<dyn Ledger>,
    /// Machines.
    pub machines: Arc<dyn Machines>,
    /// Hand-offs.
    pub hand_off: Arc<dyn HandOff>,
    /// Wakes the loop.
    pub queue: Arc<dyn Queue>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// What sets still have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remaining {
    /// Jobs that run.
    pub jobs: u32,
    /// Machines, and runners that may still get one.
    pub machines: u32,
    /// Registrations with GitHub, those included of which no answer came.
    pub registrations: u32,
    /// Hand-offs that nobody has read.
    pub hand_offs: u32,
}

/// Whose hand-offs count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The sets' machines' only: other sets share the place.
    TheSets,
    /// All that wait: nobody else's are there.
    Everybody,
}

/// Holds the lease for a moment, to see that no pass is going on.
const HOLDER: &str = "closing";
/// Long enough for a check; nobody waits longer when this process dies.
const LEASE: Duration = Duration::from_secs(10);
/// A pass takes seconds; after this the caller is asked to come again.
const PASS_WITHIN: Duration = Duration::from_secs(10);
/// How far apart two checks of a lease are: at first, for a pass that is about to end, and at most, for a ledger that is far away.
const LEASE_CHECKED_EVERY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// Waits until no pass goes on over a set that began before this call: such a pass may still launch by what it read then.
/// Returns whether it is so.
///
/// The lease is asked for again and again, because it is a row of SQLite or of DynamoDB, and neither reports its release.
///
/// # Errors
/// When the ledger fails.
pub async fn no_pass_goes_on(
    ledger: &dyn Ledger,
    clock: &dyn Clock,
    set: &ScaleSetName,
    holder: &str,
    within: Duration,
) -> Result<bool, LedgerError> {
    let (mut waited, mut pause) = (Duration::ZERO, LEASE_CHECKED_EVERY.0);
    loop {
        if let Some(mut lease) = ledger.acquire(set, holder, LEASE).await? {
            // A set that was woken meanwhile keeps the lease once. Nothing is to be reconciled here; what woke it wakes its
            // loop too.
            if ledger.release(&mut lease, Duration::from_millis(1)).await? == ReleaseOutcome::WokenAgain {
                let _ = ledger.release(&mut lease, Duration::from_millis(1)).await?;
            }
            return Ok(true);
        }
        if waited >= within {
            return Ok(false);
        }
        clock.sleep(pause).await;
        waited += pause;
        pause = (pause * 2).min(LEASE_CHECKED_EVERY.1);
    }
}

/// A policy by which there shall be no runner. Its times stay, but a minimum running time has no meaning any more.
#[must_use]
pub(crate) fn closed_policy(set: &ScaleSet) -> ScaleSet {
    ScaleSet {
        // Without labels no job is its, so that what is idle waits for none.
        labels: BTreeSet::new(),
        serves_unlabelled: false,
        min_idle: Vec::new(),
        runners_max: 0,
        notify: false,
        timing: Timing { running_min: Duration::ZERO, ..set.timing.clone() },
        ..set.clone()
    }
}

/// The sets with these closed: their own passes drain them, and to others they take no jobs.
#[must_use]
pub(crate) fn with_closed(sets: &Arc<Vec<ScaleSet>>, closed: &BTreeSet<ScaleSetName>) -> Arc<Vec<ScaleSet>> {
    if !sets.iter().any(|set| closed.contains(&set.name)) {
        return sets.clone();
    }
    let closed = |set: &ScaleSet| if closed.contains(&set.name) { closed_policy(set) } else { set.clone() };
    Arc::new(sets.iter().map(closed).collect())
}

impl DrainPorts {
    /// Closes sets, and says what is left of them. `Default` means that nothing is, and that nothing will be: every set's
    /// lease was held after it was closed. With `kills_jobs` machines with a job are ended, for this reason.
    ///
    /// # Errors
    /// When a port fails, or a pass does not end within seconds; it can be tried again.
    pub async fn close(
        &self,
        sets: &BTreeSet<ScaleSetName>,
        whose: Whose,
        kills_jobs: Option<&str>,
    ) -> Result<Remaining, ClosingError> {
        let before = self.ledger.closed().await?;
        for set in sets.difference(&before) {
            self.ledger.close(set, true).await?;
        }
        let mut remaining = self.remaining(sets, whose, kills_jobs).await?;
        if remaining == Remaining::default() {
            for set in sets {
                if !no_pass_goes_on(self.ledger.as_ref(), self.clock.as_ref(), set, HOLDER, PASS_WITHIN).await? {
                    return Err(ClosingError::InPass(set.clone()));
                }
            }
            // What a pass has launched that was going on at that moment is recorded now.
            remaining = self.remaining(sets, whose, kills_jobs).await?;
        }
        if remaining != Remaining::default() {
            // Once: a caller that asks again and again must not keep the loop from its own schedule.
            for set in sets.difference(&before) {
                self.queue.send(&Message::Wake { set: set.clone() }.to_body(), Duration::ZERO).await?;
            }
        }
        Ok(remaining)
    }

    /// Puts sets back into service.
    ///
    /// # Errors
    /// When a port fails.
    pub async fn open(&self, sets: &BTreeSet<ScaleSetName>) -> Result<(), ClosingError> {
        for set in sets {
            self.ledger.close(set, false).await?;
            // The next pass may be minutes away, and jobs may wait.
            self.queue.send(&Message::Wake { set: set.clone() }.to_body(), Duration::ZERO).await?;
        }
        Ok(())
    }

    /// Forgets that sets were closed; nothing is woken, for they are gone.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn forget(&self, sets: &BTreeSet<ScaleSetName>) -> Result<(), ClosingError> {
        for set in sets {
            self.ledger.close(set, false).await?;
        }
        Ok(())
    }

    /// What is left of the sets; with `kills_jobs` their machines with a job are ended.
    async fn remaining(
        &self,
        sets: &BTreeSet<ScaleSetName>,
        whose: Whose,
        kills_jobs: Option<&str>,
    ) -> Result<Remaining, ClosingError> {
        // Hand-offs, then machines, then the ledger: what is fresh must not look orphaned.
        let waiting = self.hand_off.waiting().await?;
        let control_plane = self.ledger.control_plane().await?;
        let (mut remaining, mut known, mut alive) = (Remaining::default(), BTreeSet::new(), BTreeSet::new());
        for set in sets {
            let machines = self.machines.list(set, &control_plane).await?;
            let runners = self.ledger.live_runners(set).await?;
            let Counted { numbers, busy, running, bound } = counted(&machines, &runners);
            remaining.jobs += numbers.jobs;
            remaining.machines += numbers.machines;
            remaining.registrations += numbers.registrations;
            if let Some(reason) = kills_jobs {
                self.kill(&busy, &running, reason).await?;
            }
            known.extend(machines.into_iter().map(|machine| machine.id));
            known.extend(bound.iter().cloned());
            alive.extend(running);
            alive.extend(bound);
        }
        for (machine, _) in waiting {
            if alive.contains(&machine) {
                remaining.hand_offs += 1;
            } else if whose == Whose::Everybody || known.contains(&machine) {
                // Its machine has ended and no runner waits for it: nobody will read it, and nobody else would delete it.
                self.hand_off.expire(&machine).await?;
            }
        }
        Ok(remaining)
    }

    async fn kill(&self, busy: &[&Runner], running: &BTreeSet<MachineId>, reason: &str) -> Result<(), ClosingError> {
        let now = self.clock.now();
        let (mut ids, mut events) = (Vec::new(), Vec::new());
        for runner in busy {
            let Some(machine) = runner.machine.as_ref().filter(|machine| running.contains(machine)) else { continue };
            let mut event = HistoryEvent::new(now, EventKind::Decided, "terminate", reason);
            (event.set, event.runner) = (Some(runner.target.set.clone()), Some(runner.name.clone()));
            (event.machine, event.job) = (Some(machine.clone()), runner.job);
            events.push(event);
            ids.push(machine.clone());
        }
        if ids.is_empty() {
            return Ok(());
        }
        // The reason first: a machine that ended without one would be a riddle.
        self.ledger.append(events).await?;
        Ok(self.machines.terminate(&ids).await?)
    }
}

/// What one set has.
struct Counted<'a> {
    /// All but the hand-offs: those do not say whose they are.
    numbers: Remaining,
    /// Runners with a job.
    busy: Vec<&'a Runner>,
    /// Machines that have not ended.
    running: BTreeSet<MachineId>,
    /// Machines that its runners have, or had.
    bound: BTreeSet<MachineId>,
}

/// Counts what a set has, by its machines and its live runners. A runner counts as a machine before it has one, and until
/// nothing is left of it.
fn counted<'a>(machines: &[Machine], runners: &'a [Runner]) -> Counted<'a> {
    let alive = machines.iter().filter(|machine| machine.state != MachineState::Ended);
    let running: BTreeSet<MachineId> = alive.map(|machine| machine.id.clone()).collect();
    let bound: BTreeSet<MachineId> = runners.iter().filter_map(|runner| runner.machine.clone()).collect();
    let busy: Vec<&Runner> = runners.iter().filter(|runner| runner.state == RunnerState::Busy).collect();
    let numbers = Remaining {
        jobs: saturating_u32(busy.len()),
        machines: saturating_u32(runners.len() + running.difference(&bound).count()),
        registrations: saturating_u32(runners.iter().filter(|runner| may_be_registered(runner)).count()),
        hand_offs: 0,
    };
    Counted { numbers, busy, running, bound }
}

/// A registration is there, or was asked for and the answer is not known.
fn may_be_registered(runner: &Runner) -> bool {
    (runner.registration.is_some() || runner.jit_requested_at.is_some()) && runner.deregistered_at.is_none()
}

#[cfg(test)]
mod tests {
    use runnersmith_types::{
        BatchId, CapacityPool, ControlPlaneId, Market, Owner, RegistrationId, RunnerName, RunnerScope, Target,
        Timestamp,
    };

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn id(name: &str) -> MachineId {
        MachineId::parse(name).unwrap()
    }

    fn machine(name: &str, state: MachineState) -> Machine {
        Machine {
            id: id(name),
            set: ScaleSetName::parse("linux").unwrap(),
            control_plane: ControlPlaneId::parse("k3x9").unwrap(),
            batch: BatchId::parse("b-1").unwrap(),
            state,
            status: None,
            launched_at: NOW,
            pool: CapacityPool { market: Market::Local, machine_type: "process".into(), zone: "here".into() },
            interrupted_at: None,
        }
    }

    fn runner(serial: u64, state: RunnerState, machine: Option<&str>) -> Runner {
        let name = RunnerName::parse(&format!("linux-k3x9-{serial}")).unwrap();
        let at = RunnerScope::Organization(Owner::parse("acme").unwrap());
        let target = Target { set: ScaleSetName::parse("linux").unwrap(), at };
        Runner { state, machine: machine.map(id), ..Runner::intended(name, serial, target, true, NOW) }
    }

    #[test]
    fn what_a_set_has_is_counted_by_its_machines_and_its_runners() {
        let registered = |runner: Runner| Runner { registration: Some(RegistrationId(runner.serial)), ..runner };
        let runners = [
            runner(1, RunnerState::Intended, None),
            // No answer came to the call that registers it.
            Runner { jit_requested_at: Some(NOW), ..runner(2, RunnerState::Booting, Some("m-2")) },
            registered(runner(3, RunnerState::Busy, Some("m-3"))),
            Runner { deregistered_at: Some(NOW), ..registered(runner(4, RunnerState::Draining, Some("m-4"))) },
        ];
        let machines = [
            machine("m-2", MachineState::Pending),
            machine("m-3", MachineState::Running),
            machine("m-4", MachineState::Ended),
            // Of a runner that is not recorded.
            machine("m-5", MachineState::Running),
            machine("m-6", MachineState::Ended),
        ];
        let found = counted(&machines, &runners);
        assert_eq!(found.numbers, Remaining { jobs: 1, machines: 5, registrations: 2, hand_offs: 0 });
        assert_eq!(found.busy, [&runners[2]]);
        assert_eq!(found.running, BTreeSet::from([id("m-2"), id("m-3"), id("m-5")]));
        assert_eq!(found.bound, BTreeSet::from([id("m-2"), id("m-3"), id("m-4")]));
        assert_eq!(counted(&[], &[]).numbers, Remaining::default());
    }
}
