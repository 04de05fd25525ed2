//! Execute: each action is one idempotent remote effect with one outcome. A failure never stops its neighbours, and
//! nothing is retried here: the next round or pass does that.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use runnersmith_ports::{BudgetKind, GitHubError, Lease, LedgerError};
use runnersmith_types::{
    Action, Event, EventKind, FactSource, Held, Job, JobFact, JobId, JobStatus, MachineId, Mark, Plan, Reason,
    RegisterAt, RegistrationId, RepoFullName, Runner, RunnerName, ScaleSet, Snapshot, Step,
};

use crate::{World, hand_over, launch, pass::LEASE_TTL, tell};

/// Remote effects that run side by side. GitHub asks clients not to be wildly parallel; the hand-offs of a burst are paced by the budget anyway.
const SIDE_BY_SIDE: usize = 16;

/// What came of one action.
#[derive(Debug)]
pub enum Outcome {
    /// It had its effect.
    Done(String),
    /// It was put off (a budget, a limit) and is no failure.
    PutOff(String),
    /// It failed; the next pass looks again.
    Failed(String),
}

/// What an action's execution wants recorded.
pub(crate) struct Effect {
    /// What came of it.
    pub outcome: Outcome,
    /// Changes of runners.
    pub marks: Vec<(RunnerName, Mark)>,
}

impl Effect {
    pub(crate) fn done(text: impl Into<String>, marks: Vec<(RunnerName, Mark)>) -> Self {
        Self { outcome: Outcome::Done(text.into()), marks }
    }
    pub(crate) fn put_off(text: impl Into<String>) -> Self {
        Self { outcome: Outcome::PutOff(text.into()), marks: Vec::new() }
    }
    pub(crate) fn failed(error: &(dyn std::error::Error + 'static)) -> Self {
        Self { outcome: Outcome::Failed(crate::chain(error)), marks: Vec::new() }
    }
    /// A GitHub error: a limit puts off, anything else fails.
    pub(crate) fn github(error: &GitHubError) -> Self {
        match error {
            GitHubError::RateLimited { .. } => Self::put_off(error.to_string()),
            GitHubError::NotFound { .. }
            | GitHubError::Conflict { .. }
            | GitHubError::Busy { .. }
            | GitHubError::Refused { .. }
            | GitHubError::Unauthorized { .. }
            | GitHubError::NotInstalled { .. }
            | GitHubError::Transient { .. } => Self::failed(error),
        }
    }
}

/// The hands of one execution: the world, the policy, the lease, and the records the plan was made from.
pub(crate) struct Hands<'a> {
    pub world: &'a World,
    pub policy: &'a ScaleSet,
    pub runners: BTreeMap<&'a RunnerName, &'a Runner>,
    pub jobs: BTreeMap<JobId, &'a Job>,
    pub snapshot: &'a Snapshot,
}

impl Hands<'_> {
    /// Takes one unit of a budget. `None`: there is none left, or the ledger cannot say.
    pub(crate) async fn take(&self, kind: BudgetKind) -> Option<u32> {
        let limit = match kind {
            BudgetKind::Jit => self.world.limits.jit_per_minute,
            BudgetKind::Calls => self.world.limits.calls_per_minute,
        };
        self.world.ports.ledger.take_budget(kind, 1, limit).await.ok().flatten()
    }
}

/// Executes a plan. Answers whether anything had its effect.
///
/// # Errors
/// Only when the ledger fails or the lease is lost; then nothing more is issued.
pub async fn execute(
    world: &World,
    policy: &ScaleSet,
    snapshot: &Snapshot,
    lease: &mut Lease,
    plan: Plan,
) -> Result<bool, LedgerError> {
    let hands = Hands {
        world,
        policy,
        runners: snapshot.runners.iter().map(|runner| (&runner.name, runner)).collect(),
        jobs: snapshot.jobs.iter().map(|job| (job.id(), job)).collect(),
        snapshot,
    };
    let ledger = &world.ports.ledger;
    let (records, effects) = split(plan.steps);
    let mut events = Vec::new();
    let mut progressed = false;

    // What was observed, in one transaction.
    if !records.marks.is_empty() {
        let marks = records.marks.iter().map(|(runner, mark, _)| (runner.clone(), mark.clone())).collect();
        let changed = ledger.mark(lease, marks).await?;
        progressed |= !changed.is_empty();
        after_marks(&hands, &records.marks).await?;
        for (runner, mark, reason) in records.marks {
            events.push(event(&hands, EventKind::Seen, mark_word(&mark), &reason, Subject::runner(&runner)));
        }
    }
    for (action, reason) in records.intents {
        let Action::Intend { runners } = action else { continue };
        let names: Vec<String> = runners.iter().map(|intent| intent.name.to_string()).collect();
        match ledger.intend(lease, runners, policy.ephemeral, policy.runners_max).await {
            Ok(()) => {
                progressed = true;
                events.push(event(&hands, EventKind::Decided, "intend", &reason, Subject::default()));
                for name in names.iter().filter_map(|name| RunnerName::parse(name).ok()) {
                    events.push(event(&hands, EventKind::Decided, "intend", &reason, Subject::runner(&name)));
                }
            }
            Err(error @ LedgerError::Conflict { .. }) => {
                events.push(event(&hands, EventKind::Failed, "intend", &Reason(error.to_string()), Subject::default()));
            }
            Err(error) => return Err(error),
        }
    }
    // Launches store their batch first, one after the other, under the lease.
    for (action, reason) in records.launches {
        keep(world, lease).await?;
        let kind = action.kind();
        let effect = launch::launch(&hands, lease, action).await?;
        progressed |= finish(&hands, lease, &mut events, kind, reason, Subject::default(), effect).await?;
    }
    let (effects, put_off) = hand_over::reserve(&hands, lease, effects).await?;
    for Step { action, reason } in put_off {
        let effect = Effect::put_off("this minute's JIT budget is used up");
        finish(&hands, lease, &mut events, action.kind(), reason, Subject::of(&action), effect).await?;
    }
    // All other effects run side by side; each outcome is recorded by itself.
    let mut effects = futures_util::stream::iter(effects)
        .map(|Step { action, reason }| {
            let hands = &hands;
            async move {
                let (kind, subject) = (action.kind(), Subject::of(&action));
                (kind, subject, reason, run(hands, action).await)
            }
        })
        .buffer_unordered(SIDE_BY_SIDE);
    while let Some((kind, subject, reason, effect)) = effects.next().await {
        keep(world, lease).await?;
        progressed |= finish(&hands, lease, &mut events, kind, reason, subject, effect).await?;
    }
    drop(effects);
    ledger.append(events).await?;
    Ok(progressed)
}

/// Executors stop issuing near the lease's end: it is renewed in time, or given up.
async fn keep(world: &World, lease: &mut Lease) -> Result<(), LedgerError> {
    if world.ports.clock.now().plus(LEASE_TTL / 2) >= lease.until {
        world.ports.ledger.renew(lease, LEASE_TTL).await?;
    }
    Ok(())
}

struct Records {
    marks: Vec<(RunnerName, Mark, Reason)>,
    intents: Vec<(Action, Reason)>,
    launches: Vec<(Action, Reason)>,
}

fn split(steps: Vec<Step>) -> (Records, Vec<Step>) {
    let mut records = Records { marks: Vec::new(), intents: Vec::new(), launches: Vec::new() };
    let mut effects = Vec::new();
    for Step { action, reason } in steps {
        match action {
            Action::Mark { runner, mark } => records.marks.push((runner, mark, reason)),
            Action::Withdraw { runner } => {
                let why = format!("withdrawn: {reason}");
                records.marks.push((runner, Mark::Gone(why), reason));
            }
            Action::Intend { .. } => records.intents.push((action, reason)),
            Action::Launch { .. } | Action::Relaunch { .. } => records.launches.push((action, reason)),
            Action::HandOff { .. }
            | Action::LookUp { .. }
            | Action::Deregister { .. }
            | Action::Terminate { .. }
            | Action::ExpireHandOff { .. }
            | Action::Strike(_)
            | Action::VerifyJob { .. }
            | Action::Hold { .. }
            | Action::Tell { .. }
            | Action::Interrupted { .. }
            | Action::Rerun { .. } => effects.push(Step { action, reason }),
        }
    }
    (records, effects)
}

/// Things that follow from an observation at once: the breaker's memory.
async fn after_marks(hands: &Hands<'_>, marks: &[(RunnerName, Mark, Reason)]) -> Result<(), LedgerError> {
    let ledger = &hands.world.ports.ledger;
    let came_online = marks.iter().any(|(name, mark, _)| {
        matches!(mark, Mark::Idle(_) | Mark::Busy(_))
            && hands.runners.get(name).is_some_and(|runner| runner.online_at.is_none())
    });
    if came_online && !hands.snapshot.boot_failures.is_empty() {
        ledger.boot_succeeded(&hands.policy.name).await?;
    }
    for (name, mark, _) in marks {
        let Some(runner) = hands.runners.get(name) else { continue };
        let never_online = runner.online_at.is_none() && runner.handed_at.is_some();
        if matches!(mark, Mark::Draining | Mark::Lost)
            && never_online
            && let Some(rung) = runner.rung.clone()
        {
            let at = hands.world.ports.clock.now();
            let failure = runnersmith_types::BootFailure { runner: name.clone(), rung, at };
            ledger.boot_failed(&hands.policy.name, failure).await?;
            hands.world.metrics.boot_failed(&hands.policy.name);
        }
    }
    Ok(())
}

async fn run(hands: &Hands<'_>, action: Action) -> Effect {
    match action {
        Action::HandOff { runner, machine, means } => hand_over::hand_over(hands, &runner, &machine, means).await,
        Action::LookUp { runner, registration, at } => look_up(hands, runner, registration, &at).await,
        Action::Deregister { runner, registration, at } => deregister(hands, runner, registration, &at).await,
        Action::Terminate { machine, runner } => terminate(hands, machine, runner).await,
        Action::ExpireHandOff { runner, machine } => match hands.world.ports.hand_off.expire(&machine).await {
            Ok(()) | Err(runnersmith_ports::HandOffError::MachineGone { .. }) => {
                Effect::done("the hand-off is gone", vec![(runner, Mark::HandOffGone)])
            }
            Err(error) => Effect::failed(&error),
        },
        Action::Strike(strike) => {
            let text = format!("{} is left alone for a while: {}", strike.rung, strike.why);
            match hands.world.ports.ledger.strike(&hands.policy.name, strike).await {
                Ok(()) => Effect::done(text, Vec::new()),
                Err(error) => Effect::failed(&error),
            }
        }
        Action::VerifyJob { job, repo } => verify(hands, job, &repo).await,
        Action::Hold { job, until } => {
            let held = Held { since: hands.world.ports.clock.now(), until };
            match hands.world.ports.ledger.hold_job(job, held).await {
                Ok(true) => Effect::done("held", Vec::new()),
                Ok(false) => Effect::put_off("it is not queued any more"),
                Err(error) => Effect::failed(&error),
            }
        }
        Action::Tell { repo, head_sha, jobs } => tell::tell(hands, repo, head_sha, jobs).await,
        Action::Interrupted { job } => {
            let at = hands.world.ports.clock.now();
            match hands.world.ports.ledger.interrupted_job(job, at).await {
                Ok(_) => Effect::done("recorded", Vec::new()),
                Err(error) => Effect::failed(&error),
            }
        }
        Action::Rerun { repo, run } => rerun(hands, &repo, run).await,
        Action::Mark { .. }
        | Action::Withdraw { .. }
        | Action::Intend { .. }
        | Action::Launch { .. }
        | Action::Relaunch { .. } => Effect::put_off("recorded apart"),
    }
}

async fn look_up(hands: &Hands<'_>, runner: RunnerName, id: RegistrationId, at: &RegisterAt) -> Effect {
    if hands.take(BudgetKind::Calls).await.is_none() {
        return Effect::put_off("this minute's call budget is used up");
    }
    match hands.world.ports.github.registration(at, id).await {
        Ok(found) => {
            let mut marks = vec![(runner.clone(), Mark::RegistrationSeen)];
            if found.busy {
                marks.push((runner, Mark::Busy(None)));
            }
            Effect::done(format!("GitHub knows registration {id}"), marks)
        }
        Err(GitHubError::NotFound { .. }) => {
            Effect::done(format!("GitHub does not know registration {id}"), vec![(runner, Mark::RegistrationMissing)])
        }
        Err(error) => Effect::github(&error),
    }
}

async fn deregister(hands: &Hands<'_>, runner: RunnerName, id: RegistrationId, at: &RegisterAt) -> Effect {
    if hands.take(BudgetKind::Calls).await.is_none() {
        return Effect::put_off("this minute's call budget is used up");
    }
    match hands.world.ports.github.deregister(at, id).await {
        Ok(()) => Effect::done(format!("registration {id} is removed"), vec![(runner, Mark::Deregistered)]),
        Err(GitHubError::Busy { .. }) => {
            Effect::done("GitHub says that it has a job: kept", vec![(runner, Mark::RemovalRefused)])
        }
        Err(error) => Effect::github(&error),
    }
}

async fn terminate(hands: &Hands<'_>, machine: MachineId, runner: Option<RunnerName>) -> Effect {
    match hands.world.ports.machines.terminate(std::slice::from_ref(&machine)).await {
        Ok(()) => Effect::done(
            format!("machine {machine} is ended"),
            runner.into_iter().map(|name| (name, Mark::Terminated)).collect(),
        ),
        Err(error) => Effect::failed(&error),
    }
}

async fn verify(hands: &Hands<'_>, id: JobId, repo: &RepoFullName) -> Effect {
    let Some(job) = hands.jobs.get(&id) else { return Effect::put_off("the job is not open any more") };
    if hands.take(BudgetKind::Calls).await.is_none() {
        return Effect::put_off("this minute's call budget is used up");
    }
    let now = hands.world.ports.clock.now();
    let fact = match hands.world.ports.github.job(repo, id).await {
        Ok(fact) => fact,
        Err(GitHubError::NotFound { .. } | GitHubError::Unauthorized { .. } | GitHubError::NotInstalled { .. }) => {
            JobFact { source: FactSource::Get, received_at: now, status: JobStatus::Gone, ..job.fact.clone() }
        }
        Err(error) => return Effect::github(&error),
    };
    let word = fact.status.word();
    match hands.world.ports.ledger.record_facts(vec![fact], &[]).await {
        Ok(_) => Effect::done(format!("GitHub says: {word}"), Vec::new()),
        Err(error) => Effect::failed(&error),
    }
}

async fn rerun(hands: &Hands<'_>, repo: &RepoFullName, run: runnersmith_types::RunId) -> Effect {
    let ports = &hands.world.ports;
    match ports.github.run(repo, run).await {
        Ok(summary) if summary.status == "completed" => {}
        // GitHub answers 403 until the whole run has ended.
        Ok(_) => return Effect::put_off("the run has not ended yet"),
        Err(error) => return Effect::github(&error),
    }
    match ports.ledger.rerun(repo, run).await {
        Ok(true) => {}
        Ok(false) => return Effect::put_off("it was re-run before"),
        Err(error) => return Effect::failed(&error),
    }
    match ports.github.rerun_failed(repo, run).await {
        Ok(()) => Effect::done(format!("the failed jobs of run {run} are re-run"), Vec::new()),
        Err(error) => Effect::github(&error),
    }
}

/// Records what came of an action. Answers whether it had its effect.
async fn finish(
    hands: &Hands<'_>,
    lease: &Lease,
    events: &mut Vec<Event>,
    kind: &'static str,
    reason: Reason,
    subject: Subject,
    effect: Effect,
) -> Result<bool, LedgerError> {
    if !effect.marks.is_empty() {
        hands.world.ports.ledger.mark(lease, effect.marks).await?;
    }
    let (event_kind, text, outcome) = match effect.outcome {
        Outcome::Done(text) => {
            let job = subject.job;
            tracing::info!(
                correlation_id = job.map(|job| tracing::field::display(crate::correlation_id(job))),
                set = %hands.policy.name,
                action = kind,
                runner = subject.runner.as_ref().map(tracing::field::display),
                machine = subject.machine.as_ref().map(tracing::field::display),
                reason = %reason,
                "{text}"
            );
            (EventKind::Done, format!("{reason}; {text}"), "done")
        }
        Outcome::PutOff(text) => (EventKind::Decided, format!("{reason}; put off: {text}"), "put_off"),
        Outcome::Failed(text) => {
            let runner = subject.runner.as_ref().map(tracing::field::display);
            tracing::warn!(set = %hands.policy.name, action = kind, runner, error = %text, "an action failed");
            (EventKind::Failed, format!("{reason}; {text}"), "failed")
        }
    };
    hands.world.metrics.action(kind, outcome);
    events.push(event(hands, event_kind, kind, &Reason(text), subject));
    Ok(outcome == "done")
}

/// What an event is about.
#[derive(Default)]
pub(crate) struct Subject {
    job: Option<JobId>,
    runner: Option<RunnerName>,
    machine: Option<MachineId>,
}

impl Subject {
    fn runner(name: &RunnerName) -> Self {
        Self { runner: Some(name.clone()), ..Self::default() }
    }

    fn of(action: &Action) -> Self {
        match action {
            Action::HandOff { runner, machine, .. } | Action::ExpireHandOff { runner, machine } => {
                Self { runner: Some(runner.clone()), machine: Some(machine.clone()), job: None }
            }
            Action::Withdraw { runner }
            | Action::Mark { runner, .. }
            | Action::LookUp { runner, .. }
            | Action::Deregister { runner, .. } => Self::runner(runner),
            Action::Terminate { machine, runner } => {
                Self { runner: runner.clone(), machine: Some(machine.clone()), job: None }
            }
            Action::VerifyJob { job, .. } | Action::Hold { job, .. } | Action::Interrupted { job } => {
                Self { job: Some(*job), ..Self::default() }
            }
            Action::Tell { jobs, .. } => Self { job: jobs.first().map(|(job, _)| *job), ..Self::default() },
            Action::Intend { .. }
            | Action::Launch { .. }
            | Action::Relaunch { .. }
            | Action::Strike(_)
            | Action::Rerun { .. } => Self::default(),
        }
    }
}

fn event(hands: &Hands<'_>, kind: EventKind, what: &str, reason: &Reason, subject: Subject) -> Event {
    let mut event = Event::new(hands.world.ports.clock.now(), kind, what, reason.to_string());
    event.set = Some(hands.policy.name.clone());
    (event.job, event.runner, event.machine) = (subject.job, subject.runner, subject.machine);
    event
}

/// A stable word for a mark, as an event's `what`.
fn mark_word(mark: &Mark) -> &'static str {
    match mark {
        Mark::Launching { .. } => "launching",
        Mark::NotLaunched => "not_launched",
        Mark::Machine(_) => "machine",
        Mark::JitRequested => "jit_requested",
        Mark::Registered(_) => "registered",
        Mark::NextAttempt => "next_attempt",
        Mark::HandedOff => "handed_off",
        Mark::Idle(_) => "idle",
        Mark::Busy(_) => "busy",
        Mark::NotConfirmed => "not_confirmed",
        Mark::Draining => "draining",
        Mark::RemovalRefused => "removal_refused",
        Mark::Deregistered => "deregistered",
        Mark::Finished => "finished",
        Mark::Lost => "lost",
        Mark::RegistrationMissing => "registration_missing",
        Mark::RegistrationSeen => "registration_seen",
        Mark::MachineMissing => "machine_missing",
        Mark::MachineSeen => "machine_seen",
        Mark::Terminated => "terminated",
        Mark::HandOffGone => "hand_off_gone",
        Mark::Gone(_) => "gone",
    }
}
