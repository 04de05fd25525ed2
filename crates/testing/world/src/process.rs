//! One control plane process: it lives until it dies at a call, and whatever of it waits then is never resumed.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runnersmith_ports::Clock as _;
use runnersmith_types::Timestamp;
use tokio::sync::Notify;

use crate::ledger::MemoryLedger;
use crate::outside::Outside;
use crate::queue::MemoryQueue;
use crate::time::VirtualClock;

/// What all processes of a world share.
pub struct Shared {
    /// The time.
    pub clock: VirtualClock,
    /// The one ledger.
    pub ledger: Arc<MemoryLedger>,
    /// Messages.
    pub queue: Arc<MemoryQueue>,
    /// Questions to GitHub.
    pub lookups: Arc<MemoryQueue>,
    /// Notified when the agenda has something earlier than what is waited for.
    pub earlier: Notify,
    /// Notified when a machine has changed.
    pub machines_changed: Notify,
    outside: Mutex<Outside>,
    waited_for: Mutex<Timestamp>,
}

impl Shared {
    /// What is shared in a world of this outside.
    #[must_use]
    pub fn new(
        clock: VirtualClock,
        ledger: Arc<MemoryLedger>,
        (queue, lookups): (Arc<MemoryQueue>, Arc<MemoryQueue>),
        outside: Outside,
    ) -> Self {
        Self {
            clock,
            ledger,
            queue,
            lookups,
            earlier: Notify::new(),
            machines_changed: Notify::new(),
            outside: Mutex::new(outside),
            waited_for: Mutex::new(Timestamp(i64::MAX)),
        }
    }

    fn waited_for(&self) -> MutexGuard<'_, Timestamp> {
        self.waited_for.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the outside, at one moment.
    pub fn with<T>(&self, what: impl FnOnce(&mut Outside) -> T) -> T {
        let mut outside = self.outside.lock().unwrap_or_else(PoisonError::into_inner);
        let result = what(&mut outside);
        outside.note_violations();
        if outside.agenda.next_at().is_some_and(|next| next < *self.waited_for()) {
            self.earlier.notify_one();
        }
        result
    }

    /// Lets everything happen that happens by itself. Never returns.
    pub async fn live(&self) {
        loop {
            let (next, machines) = self.with(|outside| {
                let now = outside.now();
                let before = outside.counts.machine_changes;
                while let Some(event) = outside.agenda.take_due(now) {
                    outside.happens(event);
                }
                let next = outside.agenda.next_at();
                *self.waited_for() = next.unwrap_or(Timestamp(i64::MAX));
                (next, before != outside.counts.machine_changes)
            });
            if machines {
                self.machines_changed.notify_waiters();
            }
            let now = self.clock.now();
            tokio::select! {
                biased;
                () = self.earlier.notified() => {}
                () = self.clock.sleep(next.map_or(Duration::from_secs(86_400), |next| next.since(now))) => {}
            }
        }
    }
}

/// One control plane process.
pub struct Process {
    /// Who it is in the trace: which process, and which life of it.
    pub name: String,
    /// Who it is in leases: one host and process id for all of its lives, as in a container.
    pub holder: String,
    /// What it works in.
    pub shared: Arc<Shared>,
    is_alive: AtomicBool,
    died: Notify,
}

/// Whether the process dies when its call is over.
#[must_use]
pub struct Call(bool);

impl Process {
    /// One that lives.
    #[must_use]
    pub fn new(number: u32, life: u32, shared: Arc<Shared>) -> Self {
        let (name, holder) = (format!("p{number}.{life}"), format!("p{number}"));
        Self { name, holder, shared, is_alive: AtomicBool::new(true), died: Notify::new() }
    }

    /// Whether it lives.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.is_alive.load(Ordering::Relaxed)
    }

    /// Returns when it has died.
    pub async fn dies(&self) {
        self.died.notified().await;
    }

    /// A call begins: the process may die of it, before it or after it.
    pub async fn begin(&self, what: &str) -> Call {
        self.stays().await;
        let (dies, after) = self.shared.with(|outside| {
            outside.counts.port_calls += 1;
            let rate = outside.rate(|faults| faults.crash);
            let dies = outside.random.crashes.happens(rate);
            (dies, dies && outside.random.crashes.happens(500_000))
        });
        if dies && !after {
            self.die(&format!("before {what}")).await;
        }
        Call(after)
    }

    /// A call is over.
    pub async fn end(&self, call: Call, what: &str) {
        if call.0 {
            self.die(&format!("after {what}")).await;
        }
        self.stays().await;
    }

    /// A process that has died waits forever.
    pub async fn stays(&self) {
        if !self.is_alive() {
            pending::<()>().await;
        }
    }

    async fn die(&self, when: &str) {
        self.is_alive.store(false, Ordering::Relaxed);
        self.shared.with(|outside| {
            outside.counts.crashes += 1;
            outside.note(format!("{} dies {when}", self.name));
        });
        self.died.notify_one();
        pending::<()>().await;
    }

    /// The time that a call takes, in milliseconds.
    pub async fn takes(&self, from: u64, to: u64) {
        let ms = self.shared.with(|outside| outside.random.calls.between(from, to));
        self.shared.clock.sleep(Duration::from_millis(ms)).await;
        self.stays().await;
    }

    /// Adds a line to the trace.
    pub fn note(&self, line: &str) {
        self.shared.with(|outside| outside.note(format!("{} {line}", self.name)));
    }
}
