//! Runs of the two modes, and how they are proved dead: a workflow's by GitHub, a process's by its host.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use runnersmith_issueops::change::Liveness;
use runnersmith_issueops_engine::{Run, Runs};
#[cfg(feature = "aws")]
use runnersmith_ports::ControlRepository;

use crate::random::random_hex;

/// A run of a workflow: its number and attempt.
#[cfg(feature = "aws")]
pub struct WorkflowRuns {
    /// Knows whether a run goes on.
    pub control: Arc<dyn ControlRepository>,
    /// The run that we are.
    pub id: u64,
    /// Its attempt.
    pub attempt: u64,
    /// `user@host`.
    pub host: String,
}

struct Named {
    name: String,
    host: String,
    over: Option<(Arc<Mutex<Vec<String>>>, String)>,
}

impl Run for Named {
    fn name(&self) -> &str {
        &self.name
    }
    fn host(&self) -> &str {
        &self.host
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        if let Some((alive, name)) = &self.over {
            alive.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| other != name);
        }
    }
}

/// `<run>/<attempt>`, as records have it.
#[cfg(feature = "aws")]
fn parse(run: &str) -> Option<(u64, u64)> {
    let (id, attempt) = run.split_once('/')?;
    Some((id.parse().ok()?, attempt.parse().ok()?))
}

#[cfg(feature = "aws")]
#[async_trait]
impl Runs for WorkflowRuns {
    fn begin(&self) -> Box<dyn Run> {
        Box::new(Named { name: format!("{}/{}", self.id, self.attempt), host: self.host.clone(), over: None })
    }

    async fn liveness(&self, run: &str) -> Liveness {
        // A process's run is known to its host alone.
        let Some((id, attempt)) = parse(run) else { return Liveness::Unknown };
        if (id, attempt) == (self.id, self.attempt) {
            return Liveness::Alive;
        }
        match self.control.workflow_run(id).await {
            // Only runs that are over can be deleted.
            Ok(None) => Liveness::Dead,
            Ok(Some(found)) if found.attempt > attempt || found.status == "completed" => Liveness::Dead,
            Ok(Some(_)) => Liveness::Alive,
            Err(error) => {
                tracing::warn!(run, error = %runnersmith_ports::chain(&error), "whether a run goes on is not known");
                Liveness::Unknown
            }
        }
    }
}

/// Runs of a server: `process:<server>:<start>:<number>`. A server is its data directory, whose file only one process holds:
/// the one that holds it knows that every other run of that server is over, on whatever host or in whatever container it was.
pub struct ProcessRuns {
    server: String,
    own: String,
    host: String,
    next: AtomicU64,
    alive: Arc<Mutex<Vec<String>>>,
    /// Held as long as the process lives.
    _held: Option<std::fs::File>,
}

/// A word that nobody else has.
fn random() -> String {
    // Without random numbers the process's number must do.
    random_hex::<12>().unwrap_or_else(|| format!("p{}", std::process::id()))
}

/// The server's word, and the file that is held; a word for this process alone when another one holds the file.
fn server(data: &Path) -> (String, Option<std::fs::File>) {
    use std::io::{Read as _, Seek as _, Write as _};
    let open = || -> std::io::Result<(String, std::fs::File)> {
        std::fs::create_dir_all(data)?;
        let path = data.join("issueops-server");
        let mut file = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.try_lock()?;
        let mut word = String::new();
        file.read_to_string(&mut word)?;
        let word = word.trim();
        if word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok((word.to_owned(), file));
        }
        let word = random();
        file.rewind()?;
        file.set_len(0)?;
        writeln!(file, "{word}")?;
        file.sync_all()?;
        Ok((word, file))
    };
    match open() {
        Ok((word, file)) => (word, Some(file)),
        Err(error) => {
            tracing::warn!(error = %error, "another server holds this data directory, or it cannot be written: runs that die here are not proved dead");
            (random(), None)
        }
    }
}

impl ProcessRuns {
    /// Of the server with this data directory; `host` as Terraform names it.
    #[must_use]
    pub fn new(host: &str, data: &Path) -> Self {
        let (server, held) = server(data);
        let server = format!("process:{server}");
        Self {
            server,
            own: random(),
            host: host.to_owned(),
            next: AtomicU64::new(1),
            alive: Arc::default(),
            _held: held,
        }
    }
}

#[async_trait]
impl Runs for ProcessRuns {
    fn begin(&self) -> Box<dyn Run> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}:{}:{number}", self.server, self.own);
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        let over = Some((self.alive.clone(), name.clone()));
        Box::new(Named { name, host: self.host.clone(), over })
    }

    async fn liveness(&self, run: &str) -> Liveness {
        if !run.starts_with(&format!("{}:", self.server)) {
            return Liveness::Unknown;
        }
        // Ours, or of a process before us that held the same file.
        let is_alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|name| name == run);
        if is_alive { Liveness::Alive } else { Liveness::Dead }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_knows_which_of_its_runs_are_over() {
        let data = tempfile::tempdir().unwrap();
        let runs = ProcessRuns::new("root@here", data.path());
        let run = runs.begin();
        let name = run.name().to_owned();
        assert_eq!(runs.liveness(&name).await, Liveness::Alive);
        // A second server on the same data is another one, and each knows nothing of the other.
        let second = ProcessRuns::new("root@here", data.path());
        assert_eq!(second.liveness(&name).await, Liveness::Unknown);
        assert_eq!(runs.liveness(second.begin().name()).await, Liveness::Unknown);
        drop(run);
        assert_eq!(runs.liveness(&name).await, Liveness::Dead);
        // The server is killed and comes back, on another host perhaps: what it left is over.
        let left = runs.begin().name().to_owned();
        drop(runs);
        let again = ProcessRuns::new("root@there", data.path());
        assert_eq!(again.liveness(&left).await, Liveness::Dead);
        assert_eq!(again.liveness("4711/1").await, Liveness::Unknown);
    }
}
