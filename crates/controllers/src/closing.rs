//! Taking sets out of service while their policies stay: what a deletion does before anything is destroyed.
//!
//! The mark is in the ledger and not in the policy, for three reasons. Every home of the loop reads it with each pass, so that no
//! process goes on by settings that it read minutes ago. Whoever has taken the set's lease once after the mark was made
//! knows that nothing is launched any more, without trusting a clock. And the policy stays Terraform's: nothing has to be put
//! back that a half-done destruction may have removed for good.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use runnersmith_ports::{
    Clock, HandOff, HandOffError, Ledger, LedgerError, Machines, MachinesError, Queue, QueueError, Release,
};
use runnersmith_types::{
    Event, EventKind, MachineId, MachineState, Runner, RunnerState, ScaleSet, ScaleSetName, Timing,
};

use crate::Signal;

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

/// The doors that closing needs; GitHub is none of them.
#[derive(Clone)]
pub struct Hands {
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
/// Long enough for a look; nobody waits longer when this process dies.
const LEASE: Duration = Duration::from_secs(10);
/// A pass takes seconds; after so many looks, half a second apart, somebody is told to come again.
const LOOKS_MAX: u32 = 20;
/// A set that is woken again and again gets its lease back when it ends by itself.
const RELEASES_MAX: u32 = 4;

/// A policy by which there shall be no runner. Its times stay, but a minimum running time has no meaning any more.
#[must_use]
pub fn closed_policy(set: &ScaleSet) -> ScaleSet {
    ScaleSet {
        // Without labels no job is its, so that what is idle waits for none.
        labels: BTreeSet::new(),
        serves_unlabelled: false,
        floor: Vec::new(),
        runners_max: 0,
        tell: false,
        timing: Timing { running_min: Duration::ZERO, ..set.timing.clone() },
        ..set.clone()
    }
}

/// The sets with these closed: their own passes drain them, and to others they take no jobs.
#[must_use]
pub fn with_closed(sets: &Arc<Vec<ScaleSet>>, closed: &BTreeSet<ScaleSetName>) -> Arc<Vec<ScaleSet>> {
    if !sets.iter().any(|set| closed.contains(&set.name)) {
        return sets.clone();
    }
    let closed = |set: &ScaleSet| if closed.contains(&set.name) { closed_policy(set) } else { set.clone() };
    Arc::new(sets.iter().map(closed).collect())
}

impl Hands {
    /// Closes sets, and says what is left of them. `Default` means that nothing is, and that nothing will be: every set's
    /// lease was held after it was closed. With `kills_jobs` machines with a job are ended, for this reason.
    ///
    /// # Errors
    /// When a door fails, or a pass does not end within seconds; it can be tried again.
    pub async fn close(
        &self,
        sets: &BTreeSet<ScaleSetName>,
        whose: Whose,
        kills_jobs: Option<&str>,
    ) -> Result<Remaining, ClosingError> {
        for set in sets {
            self.ledger.close(set, true).await?;
        }
        let mut remaining = self.look(sets, whose, kills_jobs).await?;
        if remaining == Remaining::default() {
            for set in sets {
                self.no_pass_goes_on(set).await?;
            }
            // What a pass has launched that was going on when we looked is recorded now.
            remaining = self.look(sets, whose, kills_jobs).await?;
        }
        if remaining != Remaining::default() {
            for set in sets {
                self.queue.send(&Signal::Wake { set: set.clone() }.to_body(), Duration::ZERO).await?;
            }
        }
        Ok(remaining)
    }

    /// Puts sets back into service.
    ///
    /// # Errors
    /// When a door fails.
    pub async fn open(&self, sets: &BTreeSet<ScaleSetName>) -> Result<(), ClosingError> {
        for set in sets {
            self.ledger.close(set, false).await?;
            // The next look may be minutes away, and jobs may wait.
            self.queue.send(&Signal::Wake { set: set.clone() }.to_body(), Duration::ZERO).await?;
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

    async fn no_pass_goes_on(&self, set: &ScaleSetName) -> Result<(), ClosingError> {
        for _ in 0..LOOKS_MAX {
            if let Some(mut lease) = self.ledger.acquire(set, HOLDER, LEASE).await? {
                // A set that was woken meanwhile keeps the lease once; nothing is to be looked at here.
                for _ in 0..RELEASES_MAX {
                    if self.ledger.release(&mut lease, LEASE).await? != Release::WokenAgain {
                        break;
                    }
                }
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Err(ClosingError::InPass(set.clone()))
    }

    async fn look(
        &self,
        sets: &BTreeSet<ScaleSetName>,
        whose: Whose,
        kills_jobs: Option<&str>,
    ) -> Result<Remaining, ClosingError> {
        let plane = self.ledger.plane().await?;
        let (mut remaining, mut known, mut alive) = (Remaining::default(), BTreeSet::new(), BTreeSet::new());
        for set in sets {
            // Machines before the ledger, as everywhere: what is fresh must not look orphaned.
            let machines = self.machines.list(set, &plane).await?;
            let runners = self.ledger.live_runners(set).await?;
            let running: BTreeSet<MachineId> = machines
                .iter()
                .filter(|machine| machine.state != MachineState::Ended)
                .map(|machine| machine.id.clone())
                .collect();
            let bound: BTreeSet<MachineId> = runners.iter().filter_map(|runner| runner.machine.clone()).collect();
            let busy: Vec<&Runner> = runners.iter().filter(|runner| runner.state == RunnerState::Busy).collect();
            remaining.jobs += count(busy.len());
            remaining.machines += count(runners.len() + running.difference(&bound).count());
            remaining.registrations += count(runners.iter().filter(|runner| may_be_registered(runner)).count());
            if let Some(reason) = kills_jobs {
                self.kill(&busy, &running, reason).await?;
            }
            known.extend(machines.into_iter().map(|machine| machine.id));
            known.extend(bound.iter().cloned());
            alive.extend(running);
            alive.extend(bound);
        }
        for (machine, _) in self.hand_off.waiting().await? {
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
            let mut event = Event::new(now, EventKind::Decided, "kill", reason);
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

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A registration is there, or was asked for and the answer is not known.
fn may_be_registered(runner: &Runner) -> bool {
    (runner.registration.is_some() || runner.jit_requested_at.is_some()) && runner.deregistered_at.is_none()
}
