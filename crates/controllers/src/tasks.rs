//! What the background tasks of a process do, for people: when each last ran, how long it took, what came of it, when it runs next.
//!
//! It is apart from the tasks so that the dashboard, `status`, metrics and readiness read one thing. The ledger gets a copy, at most
//! one write a minute, so that `status` knows it also in another process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runnersmith_plan::fault::Fault;
use runnersmith_ports::{Clock, Ledger, LedgerError};
use runnersmith_types::Timestamp;
use serde::{Deserialize, Serialize};

use crate::why::duration;

/// The ledger's key of all servers' tasks.
const KEY: &str = "tasks";
/// The ledger's key of what is wrong with functions: apart, because an older program takes each entry for a server's.
const FUNCTIONS_KEY: &str = "function_faults";
/// Processes that have said nothing for so long are forgotten.
const PROCESS_KEPT: Duration = Duration::from_secs(24 * 3600);
/// The most processes that are kept, the newest.
const PROCESSES_MAX: usize = 10;
/// The most tasks of a process that are kept in the ledger.
const TASKS_MAX: usize = 40;
/// The most faults of a process that are kept in the ledger.
const FAULTS_MAX: usize = 20;
/// How often a function stores its faults at most.
const FAULTS_STORED_EVERY: Duration = Duration::from_secs(60);
/// The most bytes of an error that are kept.
const ERROR_MAX: usize = 300;

/// What came of a task's last run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has not run yet.
    #[default]
    Waiting,
    /// It did what it is for.
    Done,
    /// It ran into an error, and tries again.
    Failed(String),
    /// It panicked, which is a defect of Runnersmith, and was started again.
    Panicked(String),
}

/// One task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStatus {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub purpose: String,
    /// How often it runs, in milliseconds; none: whenever something happens.
    pub period_ms: Option<u64>,
    /// When its last run began.
    pub started_at: Option<Timestamp>,
    /// How long its last run took, in milliseconds; none: it runs now, or never ran.
    pub took_ms: Option<u64>,
    /// What came of its last run that is over.
    pub outcome: Outcome,
    /// When it runs next.
    pub next_at: Option<Timestamp>,
    /// Runs that are over.
    pub runs: u64,
    /// Of them, those that failed, panics included.
    pub failures: u64,
    /// When the first of the runs began that failed since the last that did not.
    #[serde(default)]
    pub failing_since: Option<Timestamp>,
    /// How many those are.
    #[serde(default)]
    pub failed_in_a_row: u32,
}

impl TaskStatus {
    /// Returns whether its last run that is over went wrong.
    #[must_use]
    pub const fn is_failing(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_) | Outcome::Panicked(_))
    }

    /// Returns what came of its last run, and when that was, as one phrase: `done, 40.0 s ago, took 250 ms`.
    #[must_use]
    pub fn last_run(&self, now: Timestamp) -> String {
        let word = match &self.outcome {
            Outcome::Waiting => "has not run yet".to_owned(),
            Outcome::Done => "done".to_owned(),
            Outcome::Failed(why) => format!("failed: {}", why.escape_debug()),
            Outcome::Panicked(why) => format!("panicked and is started again: {}", why.escape_debug()),
        };
        let (Some(begun), Some(took)) = (self.started_at, self.took_ms) else {
            return if self.started_at.is_some() { format!("running now; last run: {word}") } else { word };
        };
        format!("{word}, {} ago, took {}", duration(now.since(begun)), duration(Duration::from_millis(took)))
    }

    /// Returns when it runs next: `in 4 min 20 s`, `now`, or `when something happens`.
    #[must_use]
    pub fn next_run(&self, now: Timestamp) -> String {
        match self.next_at {
            Some(at) if at > now => format!("in {}", duration(at.since(now))),
            Some(_) => "now".to_owned(),
            None => "when something happens".to_owned(),
        }
    }
}

/// The tasks of one process, as the ledger has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessTasks {
    /// The process, as in its leases: host and process id.
    pub holder: String,
    /// When this was written.
    pub at: Timestamp,
    /// Its tasks, by name.
    pub tasks: Vec<TaskStatus>,
    /// What is wrong with it, its tasks apart.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// Whether it is a function, which runs only when it is invoked, and is stored only while something is wrong.
    #[serde(default)]
    pub is_function: bool,
}

/// When a process of a function stores its faults.
#[derive(Debug, Default)]
pub struct FaultsStored {
    /// When they were stored last, and whether there were any.
    last: Mutex<Option<(Timestamp, bool)>>,
    /// When it was tried last.
    tried: Mutex<Option<Timestamp>>,
}

/// A try that failed is followed by another after so long: a ledger that hangs has enough to do.
const FAULTS_TRIED_EVERY: Duration = Duration::from_secs(10);

impl FaultsStored {
    fn last(&self) -> MutexGuard<'_, Option<(Timestamp, bool)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a function with these faults has to store them now: while something is wrong, at most once a minute; once when
    /// nothing is any more; and first of all, since an earlier process may have stored some.
    pub fn is_due(&self, faults: &[Fault], now: Timestamp) -> bool {
        let tried = *self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if tried.is_some_and(|at| now.since(at) < FAULTS_TRIED_EVERY) {
            return false;
        }
        match *self.last() {
            None => true,
            Some((at, had_faults)) => (had_faults || !faults.is_empty()) && now.since(at) >= FAULTS_STORED_EVERY,
        }
    }

    /// Notes that storing them is tried.
    pub fn tried(&self, now: Timestamp) {
        *self.tried.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// Notes that these faults were stored.
    pub fn stored(&self, faults: &[Fault], now: Timestamp) {
        let mut last = self.last();
        // The beginning of a process is no reason to say later what goes wrong in its first minute.
        let at = if last.is_none() && faults.is_empty() { now.minus(FAULTS_STORED_EVERY) } else { now };
        *last = Some((at, !faults.is_empty()));
    }
}

/// The background tasks of this process.
#[derive(Debug, Default)]
pub struct Tasks(Mutex<BTreeMap<String, TaskStatus>>);

impl Tasks {
    fn all_mut(&self) -> MutexGuard<'_, BTreeMap<String, TaskStatus>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a task that has not run yet.
    #[must_use]
    pub fn register(self: &Arc<Self>, name: &str, purpose: &str, period: Option<Duration>) -> BackgroundTask {
        let status = TaskStatus {
            name: name.to_owned(),
            purpose: purpose.to_owned(),
            period_ms: period.map(millis),
            started_at: None,
            took_ms: None,
            outcome: Outcome::Waiting,
            next_at: None,
            runs: 0,
            failures: 0,
            failing_since: None,
            failed_in_a_row: 0,
        };
        self.all_mut().insert(name.to_owned(), status);
        BackgroundTask { tasks: self.clone(), name: name.into() }
    }

    /// All tasks, by name.
    #[must_use]
    pub fn all(&self) -> Vec<TaskStatus> {
        self.all_mut().values().cloned().collect()
    }

    /// The tasks whose last run panicked, each with what it said: the process cannot be relied on until they have run again.
    #[must_use]
    pub fn panicked(&self) -> Vec<String> {
        let said = |task: &TaskStatus| match &task.outcome {
            Outcome::Panicked(why) => Some(format!("task \"{}\" panicked: {why}", task.name)),
            Outcome::Waiting | Outcome::Done | Outcome::Failed(_) => None,
        };
        self.all_mut().values().filter_map(said).collect()
    }
}

/// A registered task's own handle.
#[derive(Clone, Debug)]
pub struct BackgroundTask {
    tasks: Arc<Tasks>,
    name: Arc<str>,
}

impl BackgroundTask {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn change(&self, change: impl FnOnce(&mut TaskStatus)) {
        if let Some(status) = self.tasks.all_mut().get_mut(&*self.name) {
            change(status);
        }
    }

    /// A run begins.
    pub fn begin(&self, now: Timestamp) {
        self.change(|status| (status.started_at, status.took_ms, status.next_at) = (Some(now), None, None));
    }

    /// The run is over, with this result.
    pub fn end(&self, now: Timestamp, result: Result<(), String>) {
        self.over(now, result.map_or_else(|why| Outcome::Failed(short(&why)), |()| Outcome::Done));
    }

    /// The task panicked and will be started again.
    pub fn panicked(&self, now: Timestamp, why: &str) {
        self.over(now, Outcome::Panicked(short(why)));
    }

    fn over(&self, now: Timestamp, outcome: Outcome) {
        self.change(|status| {
            status.took_ms = status.started_at.map(|begun| millis(now.since(begun)));
            status.runs += 1;
            if outcome == Outcome::Done {
                (status.failing_since, status.failed_in_a_row) = (None, 0);
            } else {
                status.failures += 1;
                status.failing_since = status.failing_since.or(status.started_at);
                status.failed_in_a_row = status.failed_in_a_row.saturating_add(1);
            }
            status.outcome = outcome;
        });
    }

    /// It runs again at this time.
    pub fn next(&self, at: Timestamp) {
        self.change(|status| status.next_at = Some(at));
    }

    /// It is over for good, and no longer shown.
    pub fn forget(&self) {
        self.tasks.all_mut().remove(&*self.name);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn short(text: &str) -> String {
    let mut end = text.len().min(ERROR_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// Writes this process's tasks into the ledger, beside those of other processes. Two that write at the same moment may lose one's
/// words for a minute; the next write has them again.
///
/// # Errors
/// When the ledger fails.
pub async fn store(
    ledger: &dyn Ledger,
    clock: &dyn Clock,
    holder: &str,
    tasks: &Tasks,
    faults: Vec<Fault>,
) -> Result<(), LedgerError> {
    // A value of the ledger is bounded, and a server may have hundreds of sets: what goes wrong is kept first.
    let mut own = tasks.all();
    own.sort_by_key(|task| !task.is_failing());
    own.truncate(TASKS_MAX);
    let process = ProcessTasks { holder: holder.to_owned(), at: clock.now(), tasks: own, faults, is_function: false };
    put(ledger, KEY, process).await
}

/// Writes what is wrong with a function into the ledger, or that nothing is any more. Its processes share one entry: the newest word
/// counts.
///
/// # Errors
/// When the ledger fails.
pub async fn store_function(
    ledger: &dyn Ledger,
    clock: &dyn Clock,
    name: &str,
    faults: Vec<Fault>,
) -> Result<(), LedgerError> {
    let (holder, at) = (name.to_owned(), clock.now());
    put(ledger, FUNCTIONS_KEY, ProcessTasks { holder, at, tasks: Vec::new(), faults, is_function: true }).await
}

async fn put(ledger: &dyn Ledger, key: &str, mut process: ProcessTasks) -> Result<(), LedgerError> {
    process.faults.truncate(FAULTS_MAX);
    let before = stored_at(ledger, key).await?;
    let mut all = before.clone();
    all.retain(|other| other.holder != process.holder && process.at.since(other.at) < PROCESS_KEPT);
    if !process.is_function || !process.faults.is_empty() {
        all.insert(0, process);
    }
    all.truncate(PROCESSES_MAX);
    if all == before {
        return Ok(());
    }
    let text =
        serde_json::to_string(&all).map_err(|error| LedgerError::Failed { operation: "set", source: error.into() })?;
    ledger.set(key, &text).await
}

/// The tasks of all servers on this ledger, and the functions with which something is wrong; of each kind the newest word first. What
/// another version wrote and this one cannot read is left out.
///
/// # Errors
/// When the ledger fails.
pub async fn stored(ledger: &dyn Ledger) -> Result<Vec<ProcessTasks>, LedgerError> {
    let mut all = stored_at(ledger, KEY).await?;
    all.extend(stored_at(ledger, FUNCTIONS_KEY).await?);
    Ok(all)
}

async fn stored_at(ledger: &dyn Ledger, key: &str) -> Result<Vec<ProcessTasks>, LedgerError> {
    let text = ledger.get(key).await?;
    let mut all: Vec<ProcessTasks> = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    all.sort_by_key(|process| std::cmp::Reverse(process.at));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use runnersmith_plan::fault::FaultKind;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    #[test]
    fn a_run_is_shown_with_its_begin_duration_result_and_next_run() {
        let tasks = Arc::new(Tasks::default());
        let task = tasks.register("sweep", "finds jobs that no delivery reported", Some(Duration::from_secs(300)));
        assert_eq!((tasks.all()[0].outcome.clone(), tasks.all()[0].period_ms), (Outcome::Waiting, Some(300_000)));
        task.begin(NOW);
        assert_eq!((tasks.all()[0].started_at, tasks.all()[0].took_ms), (Some(NOW), None));
        task.end(NOW.plus(Duration::from_millis(1_500)), Err("é".repeat(200)));
        task.next(NOW.plus(Duration::from_secs(300)));
        let status = tasks.all().remove(0);
        assert_eq!((status.took_ms, status.runs, status.failures), (Some(1_500), 1, 1));
        assert_eq!(status.outcome, Outcome::Failed("é".repeat(150)));
        assert_eq!(status.next_at, Some(NOW.plus(Duration::from_secs(300))));
        task.forget();
        assert!(tasks.all().is_empty());
        task.begin(NOW);
        assert!(tasks.all().is_empty(), "a task that is over stays over");
    }

    #[test]
    fn a_function_stores_what_is_wrong_at_once_then_once_a_minute_and_its_end() {
        let fault = [Fault::new(FaultKind::AppRefused, "", "401", NOW)];
        let at = |seconds| NOW.plus(Duration::from_secs(seconds));
        let stored = FaultsStored::default();
        let stores = |faults: &[Fault], now| {
            let is_due = stored.is_due(faults, now);
            if is_due {
                stored.stored(faults, now);
            }
            is_due
        };
        assert!(stored.is_due(&[], NOW) && stored.is_due(&[], NOW), "what could not be stored is due again");
        assert!(stores(&[], NOW), "an earlier process may have stored some");
        assert!(!stores(&[], at(3_600)), "nothing costs nothing");
        assert!(stores(&fault, at(3_601)));
        assert!(!stores(&fault, at(3_660)) && stores(&fault, at(3_661)));
        assert!(!stores(&[], at(3_700)) && stores(&[], at(3_721)), "that it is over, a minute later");
        assert!(!stores(&fault, at(3_722)), "what comes and goes is no write for each time");
        let hung = FaultsStored::default();
        assert!(hung.is_due(&fault, NOW));
        hung.tried(NOW);
        assert!(
            !hung.is_due(&fault, at(9)) && hung.is_due(&fault, at(10)),
            "a ledger that hangs is not asked each time"
        );
    }

    #[test]
    fn a_task_is_described_in_words() {
        let tasks = Arc::new(Tasks::default());
        let task = tasks.register("sweep", "finds jobs", Some(Duration::from_secs(300)));
        let words = |now| {
            let status = tasks.all().remove(0);
            (status.last_run(now), status.next_run(now))
        };
        assert_eq!(words(NOW), ("has not run yet".into(), "when something happens".into()));
        task.begin(NOW);
        assert_eq!(words(NOW).0, "running now; last run: has not run yet");
        task.end(NOW.plus(Duration::from_millis(250)), Ok(()));
        task.next(NOW.plus(Duration::from_secs(300)));
        let later = NOW.plus(Duration::from_secs(40));
        assert_eq!(words(later), ("done, 40.0 s ago, took 250 ms".into(), "in 4 min 20 s".into()));
        task.begin(later);
        task.end(later, Err("no\u{1b}[2Jroute".into()));
        assert_eq!(words(later).0, "failed: no\\u{1b}[2Jroute, 0 s ago, took 0 s");
        assert!(tasks.all()[0].is_failing());
        assert_eq!(words(NOW.plus(Duration::from_secs(400))).1, "when something happens");
    }

    #[test]
    fn a_panic_is_remembered_until_the_task_has_run_again() {
        let tasks = Arc::new(Tasks::default());
        let task = tasks.register("messages", "records deliveries", None);
        task.begin(NOW);
        task.panicked(NOW, "index out of bounds");
        assert_eq!(tasks.panicked(), ["task \"messages\" panicked: index out of bounds"]);
        task.begin(NOW);
        assert_eq!(tasks.panicked().len(), 1, "to have begun is not enough");
        task.end(NOW, Ok(()));
        assert!(tasks.panicked().is_empty());
    }
}
