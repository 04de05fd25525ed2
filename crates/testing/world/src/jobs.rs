//! What happens to jobs by itself: they are queued, gated, cancelled, given to runners and run, and deliveries say so, or do not.

use std::time::Duration;

use runnersmith_ports::Message;
use runnersmith_types::{
    Conclusion, DeliveryId, FactSource, JobFact, JobId, JobStatus, Label, OwnerKind, RegistrationId, RepoFullName,
    RunId, Timestamp,
};

use crate::agenda::Event;
use crate::options::OWNER;
use crate::outside::{Delivery, Fails, Fate, Outside, SimJob, SimRegistration, Whose};
use crate::time::secs;

impl Outside {
    /// Puts all runs of the busy time into the agenda.
    pub fn schedule_runs(&mut self) {
        let (mut left, busy) = (self.options.jobs, self.options.busy_time.as_secs());
        // The last faults shall meet jobs that run.
        let last = busy * 9 / 10;
        let burst_at = self.random.jobs.between(0, last);
        for _ in 0..self.options.poison {
            let at = secs(self.random.jobs.between(0, last));
            self.later(at, Event::Poison);
        }
        while left > 0 {
            let random = &mut self.random.jobs;
            let jobs = u32::try_from(random.between(1, 4)).unwrap_or(1).min(left);
            let at = if random.happens(self.options.burst) {
                burst_at + random.between(0, 20)
            } else {
                random.between(0, last)
            };
            left -= jobs;
            self.later(secs(at), Event::Run { jobs });
        }
    }

    /// A message arrives that nobody can read.
    pub(crate) fn poison(&mut self) {
        self.counts.poison += 1;
        self.note("a message arrives that nobody can read");
        self.queue.push("not a message", Duration::ZERO);
    }

    /// Jobs of one run appear.
    pub(crate) fn run_appears(&mut self, count: u32) {
        let run = RunId(self.number());
        let number = self.random.jobs.between(1, u64::from(self.options.repositories));
        let Ok(repo) = RepoFullName::parse(&format!("{OWNER}/repo{number}")) else { return };
        for _ in 0..count {
            let (whose, labels) = self.whose();
            let most = self.options.job_time_max.as_secs();
            let random = &mut self.random.jobs;
            // Most jobs are short.
            let time = secs(random.between(3, most).min(random.between(3, most)));
            let gated = random.happens(self.options.gated);
            let id = JobId(self.number());
            let job = SimJob {
                id,
                run,
                repo: repo.clone(),
                sha: format!("{:07x}", run.0),
                labels,
                whose,
                status: if gated { JobStatus::Waiting } else { JobStatus::Queued },
                conclusion: None,
                queued_at: (!gated).then(|| self.now()),
                started_at: None,
                ended_at: None,
                runner: None,
                machine: None,
                time,
                attempt: 1,
            };
            self.job_appears(job);
        }
    }

    fn job_appears(&mut self, job: SimJob) {
        let (id, whose, gated) = (job.id, job.whose, job.status == JobStatus::Waiting);
        self.counts.jobs += u32::from(whose == Whose::Ours);
        self.note(format!("job {id} {whose:?} {} for {:?}", job.status.word(), job.time));
        self.jobs.insert(id, job);
        self.deliver(id);
        let random = &mut self.random.jobs;
        if gated {
            let after = secs(random.between(5, 900));
            self.later(after, Event::GateOpens(id));
        }
        let cancels = self.random.jobs.happens(self.options.cancelled);
        if cancels {
            let after = secs(self.random.jobs.between(1, 300));
            self.later(after, Event::Cancel(id));
        }
        match whose {
            Whose::Ours => self.assign_soon(),
            Whose::Foreign => {
                let after = secs(self.random.jobs.between(5, 1_200));
                self.later(after, Event::ForeignEnds(id));
            }
            Whose::Nobody => {}
        }
    }

    /// Whose the next job is, and the labels that it asks for.
    fn whose(&mut self) -> (Whose, Vec<Label>) {
        let random = &mut self.random.jobs;
        let label = Label::of_job;
        if random.happens(self.options.foreign) {
            let hosted = random.happens(500_000);
            let labels = if hosted { vec![label("ubuntu-latest")] } else { vec![label("self-hosted"), label("arc-x")] };
            return (Whose::Foreign, labels);
        }
        if random.happens(self.options.impossible) {
            return (Whose::Nobody, vec![label("self-hosted"), label("gpu")]);
        }
        let set = random.one(&self.options.sets).name.clone();
        let labels = if random.happens(100_000) {
            vec![label("self-hosted")]
        } else {
            vec![label("self-hosted"), label(set.as_str())]
        };
        (Whose::Ours, labels)
    }

    /// GitHub looks for runners in a moment.
    pub(crate) fn assign_soon(&mut self) {
        let after = Duration::from_millis(self.random.jobs.between(300, 3_000));
        self.later(after, Event::Assign);
    }

    pub(crate) fn gate_opens(&mut self, id: JobId) {
        let now = self.now();
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.status == JobStatus::Waiting) else { return };
        (job.status, job.queued_at) = (JobStatus::Queued, Some(now));
        self.note(format!("job {id} queued: its gate opened"));
        self.deliver(id);
        self.assign_soon();
    }

    pub(crate) fn cancel(&mut self, id: JobId) {
        if self.jobs.get(&id).is_some_and(|job| job.status <= JobStatus::Queued) {
            self.complete(id, "cancelled");
        }
    }

    pub(crate) fn foreign_ends(&mut self, id: JobId) {
        if self.jobs.get(&id).is_some_and(|job| job.status.is_open()) {
            self.complete(id, "success");
        }
    }

    /// Gives queued jobs to runners that are online and have none, the oldest first.
    pub(crate) fn assign(&mut self) {
        let queued = self.jobs.values().filter(|job| job.status == JobStatus::Queued && job.whose == Whose::Ours);
        let mut queued: Vec<(Option<Timestamp>, JobId)> = queued.map(|job| (job.queued_at, job.id)).collect();
        queued.sort_unstable();
        let is_free = |runner: &&SimRegistration| {
            let free = runner.removed_at.is_none() && runner.online && runner.job.is_none();
            // Other fleets' runners have no machine here, and are for their own jobs.
            free && runner.machine.is_some() && !self.ends_early(runner)
        };
        let mut free: Vec<RegistrationId> =
            self.registrations.values().filter(is_free).map(|runner| runner.id).collect();
        for (_, id) in queued {
            let labels = &self.jobs[&id].labels;
            let fits = |runner: &RegistrationId| {
                let runner = &self.registrations[runner];
                labels.iter().all(|label| runner.labels.contains(label))
            };
            if let Some(at) = free.iter().position(fits) {
                let runner = free.remove(at);
                self.starts(id, runner);
            } else if free.is_empty() {
                return;
            }
        }
    }

    /// Whether the runner is about to end: it takes no job any more.
    fn ends_early(&self, runner: &SimRegistration) -> bool {
        let machine = runner.machine.as_ref().and_then(|id| self.machines.get(id));
        machine.is_some_and(|machine| machine.fate == Fate::EndsEarly)
    }

    fn starts(&mut self, id: JobId, runner: RegistrationId) {
        let now = self.now();
        let Some(registration) = self.registrations.get_mut(&runner) else { return };
        registration.job = Some(id);
        let (name, machine) = (registration.name.clone(), registration.machine.clone());
        let Some(job) = self.jobs.get_mut(&id) else { return };
        (job.status, job.started_at) = (JobStatus::InProgress, Some(now));
        (job.runner, job.machine) = (Some((runner, name.clone())), machine.clone());
        let time = job.time;
        self.job_moved_at = now;
        self.note(format!("job {id} in progress on {name}"));
        self.deliver(id);
        let Some(machine) = machine else { return };
        if self.machine_takes(&machine, id) {
            self.later(time, Event::JobDone(id));
        } else {
            // The runner hangs or is gone, and GitHub has not noticed it yet.
            let after = secs(self.random.jobs.between(600, 900));
            self.later(after, Event::JobLost(id));
        }
    }

    /// GitHub ends a job whose runner does not answer.
    pub(crate) fn job_lost(&mut self, id: JobId) {
        if self.jobs.get(&id).is_some_and(|job| job.status == JobStatus::InProgress) {
            self.complete(id, "failure");
        }
    }

    /// A job is over; its runner is free, or gone when it was for one job only.
    pub(crate) fn complete(&mut self, id: JobId, conclusion: &'static str) {
        let now = self.now();
        let Some(job) = self.jobs.get_mut(&id) else { return };
        (job.status, job.conclusion, job.ended_at) = (JobStatus::Completed, Some(conclusion), Some(now));
        if job.whose == Whose::Ours {
            self.job_moved_at = now;
        }
        let (runner, started, machine) = (job.runner.clone(), job.started_at, job.machine.clone());
        if let Some(machine) = machine.and_then(|id| self.machines.get_mut(&id)) {
            machine.job = None;
        }
        self.counts.job_seconds += started.map_or(0, |at| now.since(at).as_secs());
        self.note(format!("job {id} completed: {conclusion}"));
        self.deliver(id);
        let stale = self.rate(|faults| faults.busy_stale);
        let stale = self.random.jobs.happens(stale).then(|| secs(self.random.jobs.between(10, 600)));
        let Some(registration) = runner.and_then(|(runner, _)| self.registrations.get_mut(&runner)) else { return };
        registration.job = None;
        if registration.ephemeral {
            registration.removed_at.get_or_insert(now);
        }
        if let Some(stale) = stale {
            registration.busy_until = now.plus(stale);
        }
        self.assign_soon();
    }

    /// The failed jobs of a run are queued again, as new jobs.
    pub(crate) fn run_again(&mut self, run: RunId) {
        let failed: Vec<SimJob> =
            self.jobs.values().filter(|job| job.run == run && job.conclusion == Some("failure")).cloned().collect();
        for job in failed {
            let id = JobId(self.number());
            let again = SimJob {
                id,
                status: JobStatus::Queued,
                conclusion: None,
                queued_at: Some(self.now()),
                started_at: None,
                ended_at: None,
                runner: None,
                machine: None,
                attempt: job.attempt + 1,
                ..job
            };
            self.job_appears(again);
        }
    }

    /// A fact about a job as GitHub tells it now.
    pub(crate) fn fact(&self, job: &SimJob, source: FactSource) -> JobFact {
        JobFact {
            source,
            received_at: self.now(),
            delivery: None,
            id: job.id,
            run: job.run,
            run_attempt: job.attempt,
            repo: job.repo.clone(),
            owner_kind: OwnerKind::Organization,
            head_sha: job.sha.clone(),
            name: format!("job {}", job.id),
            workflow: "ci".into(),
            labels: job.labels.clone(),
            labels_cut: false,
            status: job.status,
            conclusion: job.conclusion.map(|word| Conclusion(word.into())),
            runner_name: job.runner.as_ref().map(|(_, name)| name.clone()),
            runner_id: job.runner.as_ref().map(|(id, _)| *id),
            created_at: job.queued_at,
            started_at: job.started_at,
            completed_at: job.ended_at,
        }
    }

    /// GitHub sends a delivery about a job: at once, late, twice or not at all.
    fn deliver(&mut self, id: JobId) {
        let job = &self.jobs[&id];
        let hosted = !job.labels.iter().any(|label| label.as_str() == "self-hosted");
        if hosted {
            // Dropped at the webhook: no set can match it.
            return;
        }
        let mut fact = self.fact(job, FactSource::Delivery);
        let entry = self.number();
        fact.delivery = DeliveryId::parse(&format!("delivery-{entry}")).ok();
        let lost = self.rate(|faults| faults.delivery_lost);
        if self.random.deliveries.happens(lost) {
            self.counts.lost_deliveries += 1;
            return self.note(format!("delivery {entry} is never sent"));
        }
        let failed = self.rate(|faults| faults.delivery_failed);
        if self.random.deliveries.happens(failed) {
            self.counts.lost_deliveries += 1;
            self.deliveries.insert(entry, Delivery { fact, at: self.now(), failed: true });
            return self.note(format!("delivery {entry} fails"));
        }
        let doubled = self.rate(|faults| faults.delivery_doubled);
        if self.random.deliveries.happens(doubled) {
            self.send(fact.clone());
        }
        self.send(fact);
    }

    /// A delivery is on its way.
    pub(crate) fn send(&mut self, fact: JobFact) {
        let late = self.rate(|faults| faults.delivery_late);
        let random = &mut self.random.deliveries;
        let most = if random.happens(late) { 900_000 } else { 2_000 };
        let after = Duration::from_millis(random.between(50, most));
        let attempt = self.number();
        self.under_way.insert(attempt, fact);
        self.later(after, Event::Deliver(attempt));
    }

    /// A delivery arrives: it is in the queue before it is answered. Each attempt is an entry of the log of its own, with the time at
    /// which GitHub made it.
    pub(crate) fn arrives(&mut self, attempt: u64) {
        let (now, fails) = (self.now(), self.fails(|faults| faults.queue_error));
        let Some(fact) = self.under_way.remove(&attempt) else { return };
        // The webhook answers with an error when it cannot send, or does not know whether it could: GitHub calls that a failure.
        let failed = fails != Fails::Not;
        self.counts.lost_deliveries += u32::from(failed);
        let entry = self.number();
        self.deliveries.insert(entry, Delivery { fact: fact.clone(), at: now, failed });
        let fact = JobFact { received_at: now, ..fact };
        let guid = fact.delivery.as_ref().map_or("delivery", DeliveryId::as_str);
        self.note(format!("{guid} arrives as {entry}: job {} {}: {fails:?}", fact.id, fact.status.word()));
        if fails != Fails::Before {
            self.delivered.entry(fact.id).or_insert(now);
            if let Some(runner) = fact.runner() {
                self.checks.delivered(runner, now);
            }
            self.checks.pace.event(now);
            self.queue.push(&Message::Job(Box::new(fact)).to_body(), Duration::ZERO);
        }
    }
}
