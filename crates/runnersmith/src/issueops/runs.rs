//! Runs of the two homes, and how they are proved dead: a workflow's by GitHub, a process's by its host.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use runnersmith_changes::{Run, Runs};
use runnersmith_issueops::change::Liveness;
use runnersmith_ports::ControlRepository;

/// A run of a workflow: its number and attempt.
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
fn parse(run: &str) -> Option<(u64, u64)> {
    let (id, attempt) = run.split_once('/')?;
    Some((id.parse().ok()?, attempt.parse().ok()?))
}

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
                tracing::warn!(run, error = %runnersmith_controllers::chain(&error), "whether a run goes on is not known");
                Liveness::Unknown
            }
        }
    }
}

/// Runs of this process, and of others on this host: `process:<host>:<boot>:<pid>:<start>:<number>`.
pub struct ProcessRuns {
    place: String,
    own: String,
    host: String,
    next: AtomicU64,
    alive: Arc<Mutex<Vec<String>>>,
}

/// When a process was started, in ticks since the machine's start; the 22nd field of its `stat`.
fn started(pid: &str) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, and may hold anything.
    let rest = stat.rsplit_once(')')?.1;
    rest.split_whitespace().nth(19).map(str::to_owned)
}

fn word(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let text: String = text.trim().chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
    (!text.is_empty()).then_some(text)
}

impl ProcessRuns {
    /// Of this process; `host` as Terraform names it.
    #[must_use]
    pub fn new(host: &str) -> Self {
        let machine = word("/proc/sys/kernel/hostname").unwrap_or_else(|| "here".into());
        let boot = word("/proc/sys/kernel/random/boot_id").unwrap_or_else(|| "unknown".into());
        let pid = std::process::id().to_string();
        let place = format!("process:{machine}:{boot}");
        let own = format!("{pid}:{}", started(&pid).unwrap_or_else(|| "0".into()));
        Self { place, own, host: host.to_owned(), next: AtomicU64::new(1), alive: Arc::default() }
    }
}

#[async_trait]
impl Runs for ProcessRuns {
    fn begin(&self) -> Box<dyn Run> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}:{}:{number}", self.place, self.own);
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        let over = Some((self.alive.clone(), name.clone()));
        Box::new(Named { name, host: self.host.clone(), over })
    }

    async fn liveness(&self, run: &str) -> Liveness {
        let Some(rest) = run.strip_prefix(&format!("{}:", self.place)) else {
            // Another host, or this one before it was started again: that boot is over, and its processes with it.
            let machine = self.place.rsplit_once(':').map_or("", |(machine, _)| machine);
            return if run.starts_with(&format!("{machine}:")) { Liveness::Dead } else { Liveness::Unknown };
        };
        if rest.starts_with(&format!("{}:", self.own)) {
            let is_alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|name| name == run);
            return if is_alive { Liveness::Alive } else { Liveness::Dead };
        }
        let mut parts = rest.split(':');
        match (parts.next(), parts.next()) {
            (Some(pid), Some(start)) if started(pid).as_deref() == Some(start) => Liveness::Alive,
            (Some(_), Some(_)) => Liveness::Dead,
            _ => Liveness::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_knows_its_own_runs_and_those_that_are_over() {
        let runs = ProcessRuns::new("root@here");
        let run = runs.begin();
        let name = run.name().to_owned();
        assert_eq!(runs.liveness(&name).await, Liveness::Alive);
        // Another program on this host sees that the process is there.
        assert_eq!(ProcessRuns { own: "1:1".into(), ..ProcessRuns::new("x") }.liveness(&name).await, Liveness::Alive);
        drop(run);
        assert_eq!(runs.liveness(&name).await, Liveness::Dead);
        let other = format!("{}:4294967:7:1", runs.place);
        assert_eq!(runs.liveness(&other).await, Liveness::Dead, "there is no such process");
        assert_eq!(runs.liveness("process:elsewhere:b:1:2:3").await, Liveness::Unknown);
        assert_eq!(runs.liveness("4711/1").await, Liveness::Unknown);
    }
}
