//! Taking an environment out of service: its set leaves the live ones, and the passes over sets that nothing names any
//! more drain it. Here it is only marked, and counted what is left.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_controllers::closing;
use runnersmith_issueops::change::Left;
use runnersmith_issueops_engine::{Fleet, FleetError};
use runnersmith_ports::{Expect, chain};
use runnersmith_types::{
    EventKind, HistoryEvent, Job, JobStatus, Machine, MachineId, MachineState, MachineStatus, Runner, RunnerName,
    RunnerState, ScaleSetName, saturating_u32,
};

use crate::record::{self, Record};
use crate::{Embedded, RecordError};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// So often a record is written again when somebody else was quicker.
const TRIES_MAX: usize = 5;
/// So long a pass that began before the set was taken out is waited for.
const PASS_WITHIN: Duration = Duration::from_secs(5);

/// What is there of a set.
struct Seen {
    runners: Vec<Runner>,
    /// Machines that have not ended.
    machines: Vec<Machine>,
    /// Jobs that run on its runners.
    jobs: Vec<(RunnerName, Job)>,
    /// Hand-offs that wait to be read.
    hand_offs: usize,
}

impl Seen {
    fn job_on(&self, runner: &RunnerName) -> Option<&Job> {
        self.jobs.iter().find(|(name, _)| name == runner).map(|(_, job)| job)
    }

    fn runner_of(&self, machine: &MachineId) -> Option<&Runner> {
        self.runners.iter().find(|runner| runner.machine.as_ref() == Some(machine))
    }

    fn is_busy(&self, machine: &Machine) -> bool {
        let runner = self.runner_of(&machine.id);
        machine.status == Some(MachineStatus::Busy)
            || runner.is_some_and(|runner| runner.state == RunnerState::Busy || self.job_on(&runner.name).is_some())
    }

    fn left(&self) -> Left {
        // Whatever source says that one has a job is believed.
        let mut busy: BTreeSet<&str> = self.jobs.iter().map(|(name, _)| name.as_str()).collect();
        busy.extend(
            self.runners.iter().filter(|runner| runner.state == RunnerState::Busy).map(|runner| runner.name.as_str()),
        );
        let said = self.machines.iter().filter(|machine| machine.status == Some(MachineStatus::Busy));
        busy.extend(
            said.map(|machine| self.runner_of(&machine.id).map_or(machine.id.as_str(), |runner| runner.name.as_str())),
        );
        // A runner that is not gone has a machine, or may get one, or its machine's end is not recorded yet.
        let mut machines: BTreeSet<&str> = self.machines.iter().map(|machine| machine.id.as_str()).collect();
        machines.extend(self.runners.iter().map(|runner| match &runner.machine {
            Some(machine) => machine.as_str(),
            None => runner.name.as_str(),
        }));
        let registered = self.runners.iter().filter(|runner| {
            let may_be = runner.registration.is_some() || runner.jit_requested_at.or(runner.handed_at).is_some();
            may_be && runner.deregistered_at.is_none() && runner.missing_registration < 2
        });
        Left {
            jobs: saturating_u32(busy.len()),
            machines: saturating_u32(machines.len()),
            registrations: saturating_u32(registered.count()),
            hand_offs: saturating_u32(self.hand_offs),
            log_groups: 0,
        }
    }
}

impl Embedded {
    /// The set of an environment; `None` when it cannot be one, or is the configuration's.
    fn named(&self, environment: &str) -> Option<ScaleSetName> {
        ScaleSetName::parse(environment).ok().filter(|set| !self.is_fixed(set))
    }

    /// Marks the record, if there is one and it is not so already; returns it as it is now.
    async fn update(&self, environment: &str, draining: bool) -> Result<Option<Record>, RecordError> {
        let key = record::key(environment);
        for _ in 0..TRIES_MAX {
            let Some((mut record, version)) = record::read(self.record_store.as_ref(), &key).await? else {
                return Ok(None);
            };
            if record.environment != environment {
                // It differs in case: it is not the one that is named.
                return Ok(None);
            }
            if record.draining == draining {
                return Ok(Some(record));
            }
            record.draining = draining;
            match record.write(self.record_store.as_ref(), &Expect::Version(version)).await {
                Ok(_) => return Ok(Some(record)),
                Err(error) if record::is_conflict(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(RecordError::RecordStore(runnersmith_ports::RecordStoreError::Conflict { operation: "put", key }))
    }

    async fn see(&self, set: &ScaleSetName) -> Result<Seen, Cause> {
        let ports = &self.world.ports;
        let control_plane = ports.ledger.control_plane().await?;
        // Machines before the ledger: a runner that is recorded between is counted, and not taken for gone.
        let mut machines = ports.machines.list(set, &control_plane).await?;
        machines.retain(|machine| machine.state != MachineState::Ended);
        let waiting = ports.hand_off.waiting().await?;
        let runners = ports.ledger.live_runners(set).await?;
        let open = ports.ledger.open_jobs(ports.clock.now()).await?;
        let running = open.into_iter().filter(|job| job.fact.status == JobStatus::InProgress);
        let jobs = running.filter_map(|job| Some((job.runner()?, job)));
        let jobs = jobs.filter(|(name, _)| runners.iter().any(|runner| runner.name == *name)).collect();
        let ours = |id: &MachineId| {
            machines.iter().any(|machine| machine.id == *id)
                || runners.iter().any(|runner| runner.machine.as_ref() == Some(id))
        };
        let hand_offs = waiting.iter().filter(|(machine, _)| ours(machine)).count();
        Ok(Seen { hand_offs, runners, machines, jobs })
    }

    /// Ends the machines that have a job, and says so in the history of runner and job. Returns whether there were any.
    async fn kill(&self, environment: &str, set: &ScaleSetName, seen: &Seen) -> Result<bool, Cause> {
        let busy: Vec<&Machine> = seen.machines.iter().filter(|machine| seen.is_busy(machine)).collect();
        if busy.is_empty() {
            return Ok(false);
        }
        let (ports, now) = (&self.world.ports, self.world.ports.clock.now());
        let notified = |kind: EventKind, text: &str| -> Vec<HistoryEvent> {
            let event = |machine: &&Machine| {
                let runner = seen.runner_of(&machine.id);
                let mut event = HistoryEvent::new(now, kind, "terminate", text);
                event.set = Some(set.clone());
                event.machine = Some(machine.id.clone());
                event.runner = runner.map(|runner| runner.name.clone());
                event.job = runner.and_then(|runner| seen.job_on(&runner.name).map(Job::id).or(runner.job));
                event
            };
            busy.iter().map(event).collect()
        };
        let why = format!("the environment {environment} is deleted, and its running jobs with it");
        // The reason first: a machine that ended without one would be a riddle.
        ports.ledger.append(notified(EventKind::Decided, &why)).await?;
        let ids: Vec<MachineId> = busy.iter().map(|machine| machine.id.clone()).collect();
        if let Err(error) = ports.machines.terminate(&ids).await {
            let failed = notified(EventKind::Failed, &format!("{why}: {error}"));
            if let Err(unsaid) = ports.ledger.append(failed).await {
                tracing::error!(environment, error = %chain(&unsaid), "that machines could not be ended could not be recorded");
            }
            return Err(error.into());
        }
        Ok(true)
    }

    /// What is there of a set, after its running jobs were ended if that is asked for.
    async fn see_or_kill(&self, environment: &str, set: &ScaleSetName, kill_jobs: bool) -> Result<Seen, Cause> {
        let seen = self.see(set).await?;
        if kill_jobs && self.kill(environment, set, &seen).await? {
            return self.see(set).await;
        }
        Ok(seen)
    }

    async fn take_out(&self, environment: &str, kill_jobs: bool) -> Result<Left, Cause> {
        let Some(set) = self.named(environment) else { return Ok(Left::default()) };
        {
            let _turn = self.turn.lock().await;
            let was_live = self.world.set(&set).is_some();
            let record = self.update(environment, true).await?;
            // Without a record it is not live; what earlier ones of this name left is drained and counted all the same.
            self.show(&set, record.as_ref());
            if was_live {
                let why = format!("the environment {environment} is taken out of service");
                let mut event = HistoryEvent::new(self.world.ports.clock.now(), EventKind::Decided, "drain", why);
                event.set = Some(set.clone());
                self.world.ports.ledger.append(vec![event]).await?;
            }
        }
        let left = self.see_or_kill(environment, &set, kill_jobs).await?.left();
        if !left.is_nothing() {
            return Ok(left);
        }
        // A pass that began while the set was live could still make a runner; later ones see that the set is gone.
        let (ports, holder) = (&self.world.ports, format!("{}-drain", self.world.holder));
        let (ledger, clock) = (ports.ledger.as_ref(), ports.clock.as_ref());
        let settled = closing::no_pass_goes_on(ledger, clock, &set, &holder, PASS_WITHIN).await?;
        let mut left = self.see_or_kill(environment, &set, kill_jobs).await?.left();
        if !settled && left.is_nothing() {
            left.machines = 1;
        }
        Ok(left)
    }

    async fn put_back(&self, environment: &str) -> Result<(), Cause> {
        let Some(set) = self.named(environment) else { return Ok(()) };
        let _turn = self.turn.lock().await;
        if let Some(record) = self.update(environment, false).await? {
            self.show(&set, Some(&record));
        }
        Ok(())
    }

    async fn clear(&self, environment: &str) -> Result<(), Cause> {
        if self.named(environment).is_none() {
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        let key = record::key(environment);
        // One that still has a set is not gone: it stays as it is, draining or not.
        if let Some((record, _)) = record::read(self.record_store.as_ref(), &key).await?
            && record.set.is_none()
            && record.environment == environment
        {
            self.record_store.delete(&key).await?;
        }
        Ok(())
    }
}

/// In a task of its own: the caller may go away, and the record and what is live must not part.
async fn whole<T: Send + 'static>(
    operation: &'static str,
    environment: &str,
    work: impl Future<Output = Result<T, Cause>> + Send + 'static,
) -> Result<T, FleetError> {
    let done = tokio::spawn(work).await.unwrap_or_else(|error| Err(error.into()));
    done.map_err(|source| FleetError { operation, environment: environment.to_owned(), source })
}

#[async_trait]
impl Fleet for Embedded {
    async fn drain(&self, environment: &str, kill_jobs: bool) -> Result<Left, FleetError> {
        let (embedded, name) = (self.clone(), environment.to_owned());
        whole("drain", environment, async move { embedded.take_out(&name, kill_jobs).await }).await
    }

    async fn end_drain(&self, environment: &str) -> Result<(), FleetError> {
        let (embedded, name) = (self.clone(), environment.to_owned());
        whole("end the drain of", environment, async move { embedded.put_back(&name).await }).await
    }

    async fn forget(&self, environment: &str) -> Result<(), FleetError> {
        let (embedded, name) = (self.clone(), environment.to_owned());
        whole("forget", environment, async move { embedded.clear(&name).await }).await
    }
}
