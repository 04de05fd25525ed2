//! What machines do by themselves: boot, read their hand-off, bring their runner online, work, hang, end, are taken back.

use runnersmith_types::{JobId, Machine, MachineId, MachineState, MachineStatus, RegistrationId};

use crate::agenda::Event;
use crate::outside::{Fate, Handed, Outside, SimMachine, SimRegistration};
use crate::time::secs;

impl Outside {
    /// A machine begins its life.
    pub(crate) fn machine_begins(&mut self, machine: SimMachine) {
        let (id, fate) = (machine.shown.id.clone(), machine.fate);
        self.machines.insert(id.clone(), machine);
        let most = self.options.boot_time_max.as_secs();
        let boots_after = secs(self.random.machines.between(most / 2, most));
        if fate != Fate::NeverBoots {
            self.later(boots_after, Event::Booted(id.clone()));
        }
        let hangs = self.rate(|faults| faults.hangs);
        if self.random.machines.happens(hangs) {
            let after = secs(self.random.machines.between(1, 1_200));
            self.later(after, Event::Hangs(id.clone()));
        }
        let notice = self.rate(|faults| faults.spot_notice);
        if self.random.machines.happens(notice) {
            let after = secs(self.random.machines.between(1, 1_800));
            self.later(after, Event::SpotNotice(id));
        }
    }

    /// What becomes of the next machine.
    pub(crate) fn fate(&mut self) -> Fate {
        for (fate, rate) in [
            (Fate::NeverBoots, self.rate(|faults| faults.boot_never)),
            (Fate::NeverRegisters, self.rate(|faults| faults.register_never)),
            (Fate::EndsEarly, self.rate(|faults| faults.ends_early)),
        ] {
            if self.random.machines.happens(rate) {
                self.counts.failed_machines += 1;
                return fate;
            }
        }
        Fate::Good
    }

    /// A machine that has not ended and does not hang.
    fn working(&mut self, id: &MachineId) -> Option<&mut SimMachine> {
        self.machines.get_mut(id).filter(|machine| machine.ended_at.is_none() && !machine.hung)
    }

    fn reports(&mut self, id: &MachineId, status: MachineStatus) {
        let lost = self.rate(|faults| faults.status_lost);
        let is_lost = self.random.machines.happens(lost);
        let Some(machine) = self.working(id) else { return };
        let runner = machine.runner.clone();
        if is_lost {
            return self.note(format!("{id} says {status:?}, which is lost"));
        }
        machine.shown.status = Some(status.clone());
        self.counts.machine_changes += 1;
        self.note(format!("{id} says {status:?}"));
        let now = self.now();
        self.checks.pace.event(now);
        self.checks.truth_changed(&runner, now);
    }

    pub(crate) fn booted(&mut self, id: &MachineId) {
        let Some(machine) = self.working(id) else { return };
        machine.shown.state = MachineState::Running;
        machine.waits = true;
        self.reports(id, MachineStatus::Booting);
        self.later(secs(300), Event::BootTimer(id.clone()));
        self.later(secs(1), Event::ReadHandOff(id.clone()));
    }

    pub(crate) fn boot_timer(&mut self, id: &MachineId) {
        let idle = self.working(id).filter(|machine| machine.registration.is_none());
        if let Some(fate) = idle.map(|machine| machine.fate) {
            // A good one that got no hand-off in time failed as well; others are counted.
            self.counts.failed_machines += u32::from(fate == Fate::Good);
            self.ends(id, "failed at boot timer");
        }
    }

    pub(crate) fn reads_hand_off(&mut self, id: &MachineId) {
        let handed = self.hand_offs.get(id).map(|(handed, _)| handed.clone());
        let (Some(machine), Some(handed)) = (self.working(id), handed) else { return };
        if !machine.waits {
            return;
        }
        (machine.waits, machine.handed) = (false, Some(handed));
        let fate = machine.fate;
        self.hand_offs.remove(id);
        self.reports(id, MachineStatus::Configured);
        let early = self.random.machines.happens(500_000);
        match fate {
            Fate::NeverBoots | Fate::NeverRegisters => {}
            Fate::EndsEarly if early => self.later(secs(4), Event::Ends(id.clone(), "failed at configure".into())),
            Fate::EndsEarly | Fate::Good => {
                let after = secs(self.random.machines.between(3, 15));
                self.later(after, Event::Online(id.clone()));
            }
        }
    }

    pub(crate) fn online(&mut self, id: &MachineId) {
        let Some(machine) = self.working(id) else { return };
        let (fate, runner) = (machine.fate, machine.runner.clone());
        let Some(registration) = machine.handed.clone().and_then(|handed| self.connects(handed)) else {
            return self.ends(id, "1");
        };
        let now = self.now();
        if let Some(known) = self.registrations.get_mut(&registration) {
            (known.online, known.machine) = (true, Some(id.clone()));
        }
        if let Some(machine) = self.working(id) {
            machine.registration = Some(registration);
        }
        self.checks.truth_changed(&runner, now);
        self.reports(id, MachineStatus::Listening);
        if fate == Fate::EndsEarly {
            return self.later(secs(2), Event::Ends(id.clone(), "0".into()));
        }
        self.assign_soon();
    }

    /// The registration of a runner that connects, if GitHub lets it.
    fn connects(&mut self, handed: Handed) -> Option<RegistrationId> {
        match handed {
            Handed::Jit(id) => self.registrations.get(&id).filter(|known| known.removed_at.is_none()).map(|_| id),
            Handed::Token { name, labels, ephemeral } => {
                let taken = self.registrations.values().any(|known| known.name == name && known.removed_at.is_none());
                if taken {
                    return None;
                }
                let id = RegistrationId(self.number());
                let registration = SimRegistration {
                    id,
                    name,
                    labels,
                    ephemeral,
                    online: false,
                    job: None,
                    busy_until: runnersmith_types::Timestamp(0),
                    created_at: self.now(),
                    removed_at: None,
                    machine: None,
                };
                self.registrations.insert(id, registration);
                Some(id)
            }
        }
    }

    /// A machine takes a job; not when it hangs or is gone.
    pub(crate) fn machine_takes(&mut self, id: &MachineId, job: JobId) -> bool {
        let now = self.now();
        if let Some(runner) = self.machines.get(id).map(|machine| machine.runner.clone()) {
            self.checks.truth_changed(&runner, now);
        }
        let Some(machine) = self.working(id) else { return false };
        machine.job = Some(job);
        self.reports(id, MachineStatus::Busy);
        true
    }

    pub(crate) fn job_done(&mut self, job: JobId) {
        let Some(id) = self.jobs.get(&job).and_then(|job| job.machine.clone()) else { return };
        let Some(machine) = self.working(&id).filter(|machine| machine.job == Some(job)) else { return };
        machine.job = None;
        let (registration, runner) = (machine.registration, machine.runner.clone());
        let ephemeral = registration.and_then(|id| self.registrations.get(&id)).is_some_and(|known| known.ephemeral);
        self.reports(&id, MachineStatus::JobDone);
        self.complete(job, "success");
        let now = self.now();
        self.checks.truth_changed(&runner, now);
        if ephemeral {
            let after = secs(self.random.machines.between(1, 8));
            self.later(after, Event::Ends(id, "job 0".into()));
        }
    }

    /// A machine says its last word and ends itself.
    pub(crate) fn ends(&mut self, id: &MachineId, how: &str) {
        if self.working(id).is_none() {
            return;
        }
        self.reports(id, MachineStatus::Ended(how.to_owned()));
        self.machine_ends(id);
    }

    /// A machine is no more, by whatever end.
    pub(crate) fn machine_ends(&mut self, id: &MachineId) {
        let now = self.now();
        let Some(machine) = self.machines.get_mut(id).filter(|machine| machine.ended_at.is_none()) else { return };
        (machine.ended_at, machine.shown.state) = (Some(now), MachineState::Ended);
        let (job, launched_at, runner) = (machine.job, machine.shown.launched_at, machine.runner.clone());
        self.counts.machine_seconds += now.since(launched_at).as_secs();
        self.counts.machine_changes += 1;
        self.note(format!("{id} has ended"));
        self.checks.pace.event(now);
        self.checks.truth_changed(&runner, now);
        self.lets_go(id, job);
    }

    pub(crate) fn hangs(&mut self, id: &MachineId) {
        if self.is_calm() {
            return;
        }
        let Some(machine) = self.working(id) else { return };
        machine.hung = true;
        let job = machine.job;
        self.counts.failed_machines += 1;
        self.note(format!("{id} hangs"));
        self.lets_go(id, job);
    }

    /// GitHub notices in a while that a machine does not answer, and ends its job some minutes later.
    fn lets_go(&mut self, id: &MachineId, job: Option<JobId>) {
        let after = secs(self.random.machines.between(30, 90));
        self.later(after, Event::Offline(id.clone()));
        if let Some(job) = job {
            let after = secs(self.random.machines.between(600, 900));
            self.later(after, Event::JobLost(job));
        }
    }

    pub(crate) fn offline(&mut self, id: &MachineId) {
        let Some(machine) = self.machines.get(id) else { return };
        let (registration, runner) = (machine.registration, machine.runner.clone());
        let Some(known) = registration.and_then(|id| self.registrations.get_mut(&id)) else { return };
        known.online = false;
        self.note(format!("GitHub shows {runner} offline"));
        let now = self.now();
        self.checks.truth_changed(&runner, now);
    }

    pub(crate) fn spot_notice(&mut self, id: &MachineId) {
        let (now, is_calm) = (self.now(), self.is_calm());
        let Some(machine) = self.machines.get_mut(id).filter(|machine| machine.ended_at.is_none() && !is_calm) else {
            return;
        };
        machine.shown.interrupted_at = Some(now.plus(secs(120)));
        let runner = machine.runner.clone();
        self.counts.failed_machines += 1;
        self.note(format!("{id} gets its notice"));
        self.checks.truth_changed(&runner, now);
        self.later(secs(120), Event::TakenBack(id.clone()));
    }

    /// One thing of the agenda happens.
    pub fn happens(&mut self, event: Event) {
        self.checks.changes += 1;
        match event {
            Event::Run { jobs } => self.run_appears(jobs),
            Event::Poison => self.poison(),
            Event::GateOpens(job) => self.gate_opens(job),
            Event::Cancel(job) => self.cancel(job),
            Event::Deliver(attempt) => self.arrives(attempt),
            Event::Assign => self.assign(),
            Event::ForeignEnds(job) => self.foreign_ends(job),
            Event::JobDone(job) => self.job_done(job),
            Event::JobLost(job) => self.job_lost(job),
            Event::Booted(machine) => self.booted(&machine),
            Event::ReadHandOff(machine) => self.reads_hand_off(&machine),
            Event::Online(machine) => self.online(&machine),
            Event::BootTimer(machine) => self.boot_timer(&machine),
            Event::Ends(machine, how) => self.ends(&machine, &how),
            Event::Hangs(machine) => self.hangs(&machine),
            Event::Offline(machine) => self.offline(&machine),
            Event::SpotNotice(machine) => self.spot_notice(&machine),
            Event::TakenBack(machine) => self.machine_ends(&machine),
        }
    }

    /// Machines that have not ended.
    pub fn machines_alive(&self) -> impl Iterator<Item = &SimMachine> {
        self.machines.values().filter(|machine| machine.ended_at.is_none())
    }

    /// As a list shows them.
    pub(crate) fn shown_machines(&self, wanted: impl Fn(&Machine) -> bool) -> Vec<Machine> {
        let now = self.now();
        // EC2 lists what has ended for about an hour.
        let kept = |machine: &&SimMachine| machine.ended_at.is_none_or(|at| at.plus(secs(3_600)) > now);
        let visible = self.machines.values().filter(kept).filter(|machine| machine.visible_at <= now);
        visible.map(|machine| &machine.shown).filter(|shown| wanted(shown)).cloned().collect()
    }
}
