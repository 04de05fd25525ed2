//! Runs the background tasks of a process: each is registered, starts again after a panic, and ends in order at a stop.
//!
//! A task that panicked silently would leave a server that answers deliveries and consumes none. Here it is logged, started again
//! with backoff, and readiness is red until it has run again.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use runnersmith_ports::Clock;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::tasks::{BackgroundTask, Tasks};

/// The pause before a task is started again: doubled from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A task that ran so long before it panicked begins again with the first pause.
const CALM: Duration = Duration::from_secs(600);

/// When a periodic task runs: for the first time so long after the start, then once in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// From the start to the first run.
    pub first: Duration,
    /// From the end of a run to the next.
    pub then: Duration,
}

impl From<Duration> for Period {
    /// Runs at once, then once in each period.
    fn from(then: Duration) -> Self {
        Self { first: Duration::ZERO, then }
    }
}

/// Starts tasks, and waits for their end.
pub struct Driver {
    tasks: Arc<Tasks>,
    clock: Arc<dyn Clock>,
    stop: watch::Receiver<bool>,
    running: JoinSet<()>,
}

/// Returns when a stop was asked for. A dropped sender means that the process ends, which is a stop as well.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

impl Driver {
    /// Without tasks yet. They are shown in `tasks`, and end when `stop` says so.
    #[must_use]
    pub fn new(tasks: Arc<Tasks>, clock: Arc<dyn Clock>, stop: watch::Receiver<bool>) -> Self {
        Self { tasks, clock, stop, running: JoinSet::new() }
    }

    /// Starts a task that decides itself when it runs. `body` is called again when it panicked; it returns at a stop, or when
    /// there is nothing more to do for it.
    pub fn spawn<F>(
        &mut self,
        name: &str,
        purpose: &str,
        body: impl Fn(BackgroundTask, watch::Receiver<bool>) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let task = self.tasks.register(name, purpose, None);
        self.running.spawn(supervise(task, self.clock.clone(), self.stop.clone(), body));
    }

    /// Starts a task that runs in each period, and early when it is notified. A run is not cut off by a stop.
    pub fn every<F>(
        &mut self,
        name: &str,
        purpose: &str,
        period: impl Into<Period>,
        early: Arc<Notify>,
        work: impl Fn() -> F + Clone + Send + Sync + 'static,
    ) where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let Period { first, then } = period.into();
        let task = self.tasks.register(name, purpose, Some(then));
        let clock = self.clock.clone();
        let body = move |task: BackgroundTask, mut stop: watch::Receiver<bool>| {
            let (clock, early, work) = (clock.clone(), early.clone(), work.clone());
            async move {
                let mut pause = first;
                loop {
                    if !pause.is_zero() {
                        task.next(clock.now().plus(pause));
                        tokio::select! {
                            biased;
                            () = stopped(&mut stop) => return,
                            () = early.notified() => {}
                            () = clock.sleep(pause) => {}
                        }
                    }
                    task.begin(clock.now());
                    let result = work().await;
                    if let Err(error) = &result {
                        tracing::error!(task = task.name(), error, "a background task failed; it runs again");
                    }
                    task.end(clock.now(), result);
                    pause = then;
                }
            }
        };
        self.running.spawn(supervise(task, self.clock.clone(), self.stop.clone(), body));
    }

    /// The running tasks; they can be waited for.
    #[must_use]
    pub fn into_running(self) -> JoinSet<()> {
        self.running
    }
}

/// Runs a task until it returns, and starts it again when it panics.
pub async fn supervise<F>(
    task: BackgroundTask,
    clock: Arc<dyn Clock>,
    mut stop: watch::Receiver<bool>,
    body: impl Fn(BackgroundTask, watch::Receiver<bool>) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut pause = PAUSES.0;
    loop {
        let begun = clock.now();
        // A set of one: when this is dropped, so is the task.
        let mut one = JoinSet::new();
        one.spawn(body(task.clone(), stop.clone()));
        let panic = match one.join_next().await {
            Some(Err(error)) if error.is_panic() => said(error.into_panic().as_ref()),
            // It returned, or the runtime ends.
            Some(_) | None => return,
        };
        let now = clock.now();
        task.panicked(now, &panic);
        if now.since(begun) > CALM {
            pause = PAUSES.0;
        }
        task.next(now.plus(pause));
        tracing::error!(
            task = task.name(),
            panic,
            retry_in_s = pause.as_secs(),
            "a background task panicked and is started again; this is a defect, please report it"
        );
        tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            () = clock.sleep(pause) => {}
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it said nothing").to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use runnersmith_types::Timestamp;

    use super::*;
    use crate::tasks::Outcome;

    /// Tokio's time, which a paused runtime moves on.
    struct Virtual(tokio::time::Instant);

    impl Clock for Virtual {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(1_800_000_000).plus(self.0.elapsed())
        }
    }

    struct Bed {
        clock: Arc<dyn Clock>,
        tasks: Arc<Tasks>,
        stop: watch::Sender<bool>,
        /// Seconds since the start at which the task ran.
        runs: Arc<Mutex<Vec<u64>>>,
        begun: tokio::time::Instant,
    }

    impl Bed {
        fn new() -> Self {
            let begun = tokio::time::Instant::now();
            let clock: Arc<dyn Clock> = Arc::new(Virtual(begun));
            Self { clock, tasks: Arc::default(), stop: watch::channel(false).0, runs: Arc::default(), begun }
        }

        fn driver(&self) -> Driver {
            Driver::new(self.tasks.clone(), self.clock.clone(), self.stop.subscribe())
        }

        fn ran(&self) -> Vec<u64> {
            self.runs.lock().unwrap().clone()
        }

        fn note(&self) -> impl Fn() -> usize + Clone + Send + Sync + 'static {
            let (runs, begun) = (self.runs.clone(), self.begun);
            move || {
                let mut runs = runs.lock().unwrap();
                runs.push(begun.elapsed().as_secs());
                runs.len()
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_periodic_task_runs_now_at_its_period_and_early_when_notified() {
        let bed = Bed::new();
        let (note, early, mut driver) = (bed.note(), Arc::new(Notify::new()), bed.driver());
        driver.every("sweep", "finds jobs", Duration::from_secs(60), early.clone(), move || {
            let count = note();
            async move { if count == 2 { Err("GitHub is down".into()) } else { Ok(()) } }
        });
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!(bed.tasks.all()[0].outcome, Outcome::Failed("GitHub is down".into()));
        tokio::time::sleep(Duration::from_secs(9)).await;
        early.notify_one();
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!(bed.ran(), [0, 60, 70, 130]);
        let status = bed.tasks.all().remove(0);
        assert_eq!((status.outcome, status.runs, status.failures), (Outcome::Done, 4, 1));
        assert_eq!(status.next_at, Some(Timestamp::from_secs(1_800_000_190)));
        bed.stop.send_replace(true);
        let mut running = driver.into_running();
        while running.join_next().await.is_some() {}
        assert_eq!(bed.begun.elapsed().as_secs(), 131, "a stop does not wait for the period");
    }

    #[tokio::test(start_paused = true)]
    async fn a_periodic_task_may_run_later_than_at_the_start_for_the_first_time() {
        let bed = Bed::new();
        let (note, mut driver) = (bed.note(), bed.driver());
        let period = Period { first: Duration::from_secs(600), then: Duration::from_secs(86_400) };
        driver.every("drift", "looks for differences", period, Arc::default(), move || {
            note();
            async { Ok(()) }
        });
        tokio::time::sleep(Duration::from_secs(599)).await;
        assert_eq!(bed.ran(), [0_u64; 0], "not while a server starts again and again");
        assert_eq!(bed.tasks.all()[0].next_at, Some(Timestamp::from_secs(1_800_000_600)));
        tokio::time::sleep(Duration::from_secs(2 * 86_400)).await;
        assert_eq!(bed.ran(), [600, 600 + 86_400]);
        bed.stop.send_replace(true);
        let mut running = driver.into_running();
        while running.join_next().await.is_some() {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_started_again_with_backoff_and_stays_marked_until_it_has_run() {
        let bed = Bed::new();
        let (note, mut driver) = (bed.note(), bed.driver());
        driver.every("sweep", "finds jobs", Duration::from_secs(3600), Arc::default(), move || {
            let count = note();
            async move {
                assert!(count > 9, "run {count} goes wrong");
                Ok(())
            }
        });
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(bed.tasks.panicked(), ["task \"sweep\" panicked: run 2 goes wrong"]);
        assert_eq!(bed.tasks.all()[0].next_at, Some(Timestamp::from_secs(1_800_000_003)));
        tokio::time::sleep(Duration::from_secs(600)).await;
        // 1, 2, 4, 8, 16 and 32 s, then a minute each.
        assert_eq!(bed.ran(), [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]);
        assert!(bed.tasks.panicked().is_empty());
        bed.stop.send_replace(true);
        let mut running = driver.into_running();
        while running.join_next().await.is_some() {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_returns_is_over_and_one_that_waits_to_be_started_again_stops_at_once() {
        let bed = Bed::new();
        let mut driver = bed.driver();
        driver.spawn("once", "returns", |_, _| async {});
        driver.spawn("broken", "panics", |_, _| async { panic!("no") });
        tokio::time::sleep(Duration::from_secs(200)).await;
        bed.stop.send_replace(true);
        let begun = tokio::time::Instant::now();
        let mut running = driver.into_running();
        while running.join_next().await.is_some() {}
        assert_eq!(begun.elapsed().as_secs(), 0);
    }
}
