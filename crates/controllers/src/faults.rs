//! What is wrong with this process, as far as no scale set's level says it: counted in memory, so that a fault costs no call.
//!
//! It is apart from the levels because each pass makes those again; these are reported where they are seen, and end when
//! something says so or after a time. The ledger gets a copy with the tasks, at most one write a minute.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use runnersmith_plan::fault::{Fault, FaultKind};
use runnersmith_ports::{Notice, NoticeKind};
use runnersmith_types::Timestamp;

use crate::tasks::{Outcome, TaskStatus};

/// The most faults that are kept; what is about more things than that is seen in the log.
const FAULTS_MAX: usize = 100;

/// Webhooks whose signatures are rejected that are kept apart; a delivery that names none is one of them.
const HOOKS_MAX: usize = 4;
/// What all others are called together.
const OTHER_HOOKS: &str = "other webhooks";

/// The faults of a process.
#[derive(Debug, Default)]
pub struct Faults(Mutex<BTreeMap<(FaultKind, String), Fault>>);

impl Faults {
    fn all_mut(&self) -> MutexGuard<'_, BTreeMap<(FaultKind, String), Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is wrong, or still is. The first time is logged.
    pub fn report(&self, kind: FaultKind, about: &str, cause: &str, now: Timestamp) {
        let mut all = self.all_mut();
        all.retain(|_, fault| now.since(fault.last_at) < fault.kind.lasts());
        let of_kind = all.keys().filter(|(known, _)| *known == kind).count();
        let is_new = !all.contains_key(&(kind, about.to_owned()));
        // Anyone can name webhooks that there are not: they do not push out what else is wrong.
        let about =
            if kind == FaultKind::SignatureRejected && is_new && of_kind >= HOOKS_MAX { OTHER_HOOKS } else { about };
        let fresh = Fault::new(kind, about, cause, now);
        let key = (kind, about.to_owned());
        let fault = match all.get(&key) {
            Some(old) => Fault { since: old.since, count: old.count.saturating_add(1), ..fresh },
            None if all.len() >= FAULTS_MAX => return,
            None => fresh,
        };
        if fault.count == kind.counts_from() {
            tracing::warn!(fault = kind.word(), fix = kind.fix(), "{fault}");
        }
        all.insert(key, fault);
    }

    /// A delivery of this webhook was signed with our secret. That clears what is said of it, and what is said of deliveries that name no
    /// webhook, or one too many: anybody can send such, no delivery of GitHub's clears them by name, and where a webhook among them is
    /// really wrong its next delivery says so again.
    pub fn signature_accepted(&self, hook: &str) {
        let mut all = self.all_mut();
        for about in [hook, "", OTHER_HOOKS] {
            all.remove(&(FaultKind::SignatureRejected, about.to_owned()));
        }
    }

    /// It is over.
    pub fn clear(&self, kind: FaultKind, about: &str) {
        self.all_mut().remove(&(kind, about.to_owned()));
    }

    /// A GitHub client noticed something, or that it is well again.
    pub fn noticed(&self, notice: &Notice, now: Timestamp) {
        let kind = match notice.kind {
            NoticeKind::Permission => FaultKind::PermissionMissing,
            NoticeKind::RateLimit => FaultKind::RateLimitLow,
            NoticeKind::Clock => FaultKind::ClockWrong,
        };
        match &notice.wrong {
            Some(cause) => self.report(kind, &notice.about, cause, now),
            None => self.clear(kind, &notice.about),
        }
    }

    /// GitHub answered a call with this status; 0: it did not answer.
    pub fn github_answered(&self, operation: &str, status: u16, now: Timestamp) {
        // Of any address, which need not be GitHub's.
        if operation == "download" {
            return;
        }
        match status {
            0 => self.report(FaultKind::GithubDown, "", &format!("{operation}: GitHub did not answer"), now),
            500.. => self.report(FaultKind::GithubDown, "", &format!("{operation}: GitHub answered {status}"), now),
            401 => self.report(FaultKind::AppRefused, "", &format!("{operation}: GitHub answered 401"), now),
            200..=399 => {
                self.clear(FaultKind::GithubDown, "");
                self.clear(FaultKind::AppRefused, "");
            }
            // GitHub is there; the caller knows what its answer means.
            _ => self.clear(FaultKind::GithubDown, ""),
        }
    }

    /// All that count now, with those of the tasks.
    #[must_use]
    pub fn all(&self, tasks: &[TaskStatus], now: Timestamp) -> Vec<Fault> {
        let counts =
            |fault: &&Fault| fault.count >= fault.kind.counts_from() && now.since(fault.last_at) < fault.kind.lasts();
        let mut all: Vec<Fault> = self.all_mut().values().filter(counts).cloned().collect();
        all.extend(tasks.iter().filter_map(|task| of_task(task, now)));
        all
    }
}

/// Returns the fault that a task's last run was, if it went wrong.
#[must_use]
pub fn of_task(task: &TaskStatus, now: Timestamp) -> Option<Fault> {
    let cause = match &task.outcome {
        Outcome::Failed(why) => format!("failed: {why}"),
        Outcome::Panicked(why) => format!("panicked: {why}"),
        Outcome::Waiting | Outcome::Done => return None,
    };
    let about = format!("background task {}", task.name);
    let fault = Fault::new(FaultKind::TaskFailing, about, cause, task.started_at.unwrap_or(now));
    let since = task.failing_since.unwrap_or(fault.since);
    Some(fault.since(since).times(task.failed_in_a_row.max(1)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::tasks::Tasks;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + seconds)
    }

    fn words(faults: &Faults, now: Timestamp) -> Vec<String> {
        faults.all(&[], now).iter().map(|fault| format!("{} {fault} {}", fault.kind.word(), fault.age(now))).collect()
    }

    #[test]
    fn a_fault_is_counted_until_it_is_over_or_old() {
        let faults = Faults::default();
        for second in 0..3 {
            faults.report(FaultKind::SignatureRejected, "", "the signature does not match", at(second));
        }
        let said = ["signature_rejected the signature does not match for 10.0 s, 3 times"];
        assert_eq!(words(&faults, at(10)), said);
        assert_eq!(words(&faults, at(3_000)).len(), 1);
        assert!(words(&faults, at(3_700)).is_empty(), "an hour after the last");
        faults.report(FaultKind::SignatureRejected, "", "again", at(3_700));
        assert_eq!(words(&faults, at(3_700)), ["signature_rejected again for 0 s"], "a new one begins then");
        faults.clear(FaultKind::SignatureRejected, "");
        assert!(words(&faults, at(3_700)).is_empty());
    }

    #[test]
    fn one_bad_answer_of_github_is_a_coincidence_and_many_are_an_outage() {
        let faults = Faults::default();
        for second in 0..4 {
            faults.github_answered("jit_config", 502, at(second));
        }
        assert!(words(&faults, at(4)).is_empty());
        faults.github_answered("jit_config", 0, at(4));
        assert_eq!(words(&faults, at(4)), ["github_down jit_config: GitHub did not answer for 4.0 s, 5 times"]);
        faults.github_answered("jit_config", 404, at(5));
        assert!(words(&faults, at(5)).is_empty(), "it answers");
        faults.github_answered("app", 401, at(6));
        faults.github_answered("app", 401, at(7));
        assert_eq!(words(&faults, at(7)), ["app_refused app: GitHub answered 401 for 1.0 s, 2 times"]);
        faults.github_answered("app", 200, at(8));
        assert!(words(&faults, at(8)).is_empty());
    }

    #[test]
    fn a_failing_task_is_a_fault_and_there_are_never_very_many() {
        let (faults, tasks) = (Faults::default(), Arc::new(Tasks::default()));
        let task = tasks.register("sweep", "finds jobs", None);
        for second in [0, 30] {
            task.begin(at(second));
            task.end(at(second + 1), Err("GitHub is down".into()));
        }
        let all = faults.all(&tasks.all(), at(60));
        assert_eq!((all.len(), all[0].to_string()), (1, "background task sweep: failed: GitHub is down".into()));
        assert_eq!(all[0].age(at(60)), "for 1 min 00 s, 2 times");
        for number in 0..1_000 {
            faults.report(FaultKind::DeadLetters, &number.to_string(), "cannot be read", at(number));
        }
        assert_eq!(faults.all(&[], at(1_000)).len(), FAULTS_MAX);
        let later = at(1_000).plus(Duration::from_secs(7_200));
        faults.report(FaultKind::DeadLetters, "new", "cannot be read", later);
        assert_eq!(faults.all(&[], later).len(), 1, "what is over makes room");
    }
}
