//! One thread per connection. Commands that wait together share one transaction and so one synchronisation of the disk;
//! each has a savepoint of its own, so that one that fails takes nothing of the others with it.

use std::sync::mpsc::{Receiver, Sender, channel};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::error::Fault;

/// So many commands share a commit at most.
const TOGETHER_MAX: usize = 256;

/// A change, run if the transaction could be begun; what it gives answers the caller, when the commit's outcome is known.
type Command = Box<dyn FnOnce(Option<&Connection>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Option<&str>) + Send>;

enum Work {
    /// Changes something.
    Write(Command),
    /// Looks only.
    Read(Box<dyn FnOnce(&Connection) + Send>),
}

#[derive(Clone)]
pub(crate) struct Writer {
    work: Sender<Work>,
    read_only: bool,
}

impl Writer {
    pub fn start(connection: Connection, name: &str) -> Self {
        let (work, waiting) = channel();
        let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&connection, &waiting));
        if let Err(error) = spawned {
            // Without its thread the store answers "closed" to everything.
            tracing::error!(error = %error, "the store's thread could not be started");
        }
        Self { work, read_only: false }
    }

    /// As [`Writer::start`], with a connection that is for questions alone: a change is refused before it is tried.
    pub fn start_read_only(connection: Connection, name: &str) -> Self {
        Self { read_only: true, ..Self::start(connection, name) }
    }

    /// Runs a change, durable when it returns.
    pub async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        if self.read_only {
            return Err(Fault::ReadOnly);
        }
        let (answer, answered) = oneshot::channel();
        let command: Command = Box::new(move |connection| {
            let outcome = connection.map_or(Err(Fault::Closed), |connection| in_savepoint(connection, change));
            Box::new(move |commit_failed: Option<&str>| {
                let outcome = match commit_failed {
                    Some(FULL) => Err(Fault::Full),
                    Some(text) => Err(Fault::Commit(text.to_owned())),
                    None => outcome,
                };
                // The caller may have gone; the change stands.
                let _ = answer.send(outcome);
            })
        });
        self.work.send(Work::Write(command)).map_err(|_| Fault::Closed)?;
        answered.await.map_err(|_| Fault::Closed)?
    }

    /// Runs a question.
    pub async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (answer, answered) = oneshot::channel();
        let command = Box::new(move |connection: &Connection| {
            let _ = answer.send(question(connection));
        });
        self.work.send(Work::Read(command)).map_err(|_| Fault::Closed)?;
        answered.await.map_err(|_| Fault::Closed)?
    }
}

fn in_savepoint<T>(connection: &Connection, change: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
    connection.execute_batch("SAVEPOINT one")?;
    let outcome = change(connection);
    // A full disk may have ended the whole transaction already; then the commit says so.
    let _ = connection.execute_batch(if outcome.is_ok() { "RELEASE one" } else { "ROLLBACK TO one; RELEASE one" });
    outcome
}

fn run(connection: &Connection, waiting: &Receiver<Work>) {
    while let Ok(first) = waiting.recv() {
        let mut writes = Vec::new();
        let mut next = Some(first);
        while let Some(work) = next.take() {
            match work {
                Work::Read(question) => question(connection),
                Work::Write(command) => writes.push(command),
            }
            if writes.len() < TOGETHER_MAX {
                next = waiting.try_recv().ok();
            }
        }
        if !writes.is_empty() {
            commit(connection, writes);
        }
    }
}

fn commit(connection: &Connection, writes: Vec<Command>) {
    let mut failed = connection.execute_batch("BEGIN IMMEDIATE").err().map(|error| said(&error));
    let mut answers: Vec<Answer> = Vec::with_capacity(writes.len());
    for write in writes {
        // Nothing may be changed outside the transaction: it would stand although it is answered as failed.
        answers.push(write(failed.is_none().then_some(connection)));
        if failed.is_none() && connection.is_autocommit() {
            // SQLite ended the transaction itself, which it does when it has no room: all of it is rolled back.
            failed = Some(FULL.to_owned());
        }
    }
    if failed.is_none()
        && let Err(error) = connection.execute_batch("COMMIT")
    {
        failed = Some(said(&error));
        if !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK");
        }
    }
    for answer in answers {
        answer(failed.as_deref());
    }
}

const FULL: &str = "full";

fn said(error: &rusqlite::Error) -> String {
    let full = error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull);
    if full { FULL.to_owned() } else { error.to_string() }
}
