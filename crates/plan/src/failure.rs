//! What counts as a machine's failure, and what proves that machines work. It is apart from the states because a state says what
//! a runner is, and this says whose fault it is: an outage of GitHub's must never be taken for a broken image.

use std::collections::HashMap;
use std::time::Duration;

use runnersmith_types::{
    BootFailure, BootFailureCause, MachineStatus, Observed, RecordAction, Runner, RunnerName, RunnerState as S,
    Timestamp,
};

use crate::draft::Draft;

/// Finds in what this plan's observations changed first the proofs, then the failures. Both count in this plan already.
pub(crate) fn find(draft: &mut Draft<'_>) {
    silence(draft);
    if draft.steps.is_empty() && draft.boot_failures.total() == 0 {
        return;
    }
    let mut before: HashMap<&RunnerName, &Runner> = HashMap::with_capacity(draft.snapshot.runners.len());
    for runner in &draft.snapshot.runners {
        let slot = before.entry(&runner.name).or_insert(runner);
        if runner.version > slot.version {
            *slot = runner;
        }
    }
    if let Some(last) = draft.boot_failures.newest.last().cloned() {
        let proof = (0..draft.runners.len())
            .find(|index| before.get(&draft.runners[*index].name).is_some_and(|was| proves(draft, was, *index, &last)));
        if let Some(index) = proof {
            draft.boot_failures = Default::default();
            let runner = draft.runners[index].name.clone();
            draft.step(RecordAction::Booted { runner }, "a runner works: earlier failures to boot are forgotten");
        }
    }
    for index in 0..draft.runners.len() {
        let runner = &draft.runners[index];
        let Some(was) = before.get(&runner.name).filter(|was| matches!(was.state, S::Booting | S::Idle)) else {
            continue;
        };
        let ends = matches!(runner.state, S::Draining | S::Lost | S::Gone);
        let interrupted = draft.evidence(index).machine.is_some_and(|machine| machine.interrupted_at.is_some());
        if !ends || interrupted || runner.busy_at.is_some() || runner.machine.is_none() {
            continue;
        }
        let (Some((cause, why)), Some(pool)) = (cause(draft, was, index), runner.pool.clone()) else { continue };
        let launched_at = launched(runner);
        let failure = BootFailure::new(runner.name.clone(), pool, draft.now).because(cause, why.clone(), launched_at);
        let failure = draft.boot_failures.add(failure);
        draft.step(RecordAction::BootFailed(failure), why);
    }
}

/// Places for which GitHub gives no answer, at most once in a while each.
fn silence(draft: &mut Draft<'_>) {
    for (at, seen) in &draft.snapshot.registrations {
        if let Observed::Unknown { why } = seen
            && why.starts_with(NO_ANSWER)
            && !draft.snapshot.hand_off_faults.silent_since(at, draft.now.minus(SILENCE_NOTED_EVERY))
        {
            draft.step(RecordAction::Silent { at: at.clone(), why: why.clone() }, "GitHub does not answer");
        }
    }
}

/// How often it is recorded that GitHub does not answer.
const SILENCE_NOTED_EVERY: Duration = Duration::from_secs(30);

/// How the reason begins for which registrations are not known, when GitHub was asked and did not answer. A refusal is an answer.
pub const NO_ANSWER: &str = "GitHub does not answer: ";

fn launched(runner: &Runner) -> Timestamp {
    runner.launching_at.unwrap_or(runner.intended_at)
}

/// Whether this runner proves that what is launched now works. One that was launched before the last that failed proves nothing of
/// it. Where runners come online and end without a job, being online is no proof: a job is, or to stay.
fn proves(draft: &mut Draft<'_>, was: &Runner, index: usize, last: &BootFailure) -> bool {
    let runner = &draft.runners[index];
    if last.launched_at.is_some_and(|launched_at| launched(runner) < launched_at) {
        return false;
    }
    if was.busy_at.is_none() && runner.busy_at.is_some() {
        return true;
    }
    if !draft.boot_failures.newest.iter().any(|failure| failure.cause == BootFailureCause::NoJob) {
        return was.online_at.is_none() && runner.online_at.is_some();
    }
    let online_at = runner.online_at.filter(|at| runner.state == S::Idle && *at >= last.at);
    online_at.is_some_and(|at| draft.passed(at, draft.policy.timing.boot_deadline))
}

/// Whether a runner that is online has still to prove itself, after others ended without a job.
pub(crate) fn is_on_probation(draft: &Draft<'_>, runner: &Runner) -> bool {
    let deadline = draft.policy.timing.boot_deadline;
    draft.boot_failures.newest.last().is_some_and(|last| last.cause == BootFailureCause::NoJob)
        && runner.state == S::Idle
        && runner.busy_at.is_none()
        && runner.online_at.is_some_and(|at| at.plus(deadline) > draft.now)
}

/// Why a runner that ended, or is to end, is a failure of its machine; nothing where it is nobody's, or GitHub's.
fn cause(draft: &Draft<'_>, was: &Runner, index: usize) -> Option<(BootFailureCause, String)> {
    let timing = &draft.policy.timing;
    let runner = &draft.runners[index];
    let (faults, at) = (&draft.snapshot.hand_off_faults, &runner.target.at);
    let word = match draft.evidence(index).status() {
        Some(MachineStatus::Ended(how)) if !how.is_empty() => Some(how.clone()),
        _ => None,
    };
    let said = word.as_ref().map(|how| format!(", and said: {how}")).unwrap_or_default();
    let has_ended = draft.is_gone(index) || word.is_some();
    if was.was_never_online(timing.ghost_grace) {
        let Some(handed_at) = runner.handed_at else {
            // It waited for us: only an end of its own, before it had to give up, is its failure.
            let born = runner.machine_at.unwrap_or(runner.intended_at);
            let waited = born.plus(timing.boot_deadline) <= draft.now;
            let its_own = runner.state != S::Draining && !waited && !faults.failed_since(at, born);
            return its_own
                .then(|| (BootFailureCause::NeverOnline, format!("its machine ended before it was configured{said}")));
        };
        let why = match runner.state {
            S::Draining => "it was never online within the boot deadline".to_owned(),
            _ => format!("its machine ended and was never online{said}"),
        };
        return (!faults.silent_since(at, handed_at)).then_some((BootFailureCause::NeverOnline, why));
    }
    // A machine that dies after hours of idleness is no sign of anything.
    let online_at = was.online_at?;
    let soon = |at: Timestamp| at <= online_at.plus(timing.boot_deadline);
    if faults.silent_since(at, online_at) {
        return None;
    }
    match (runner.state, was.offline_since) {
        (S::Draining, Some(offline_since)) if soon(offline_since) => Some((
            BootFailureCause::NoJob,
            "it came online, and then GitHub showed it offline before it had a job".to_owned(),
        )),
        (S::Lost | S::Gone, _) if has_ended && soon(draft.now) => {
            Some((BootFailureCause::NoJob, format!("it came online and ended without a job{said}")))
        }
        _ => None,
    }
}
