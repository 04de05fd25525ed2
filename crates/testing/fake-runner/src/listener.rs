//! `Runner.Listener`: waits for jobs and runs each in a worker.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::process::Command;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::command_line::{CANCELLED, RETRYABLE, SUCCESS, TERMINATED, argument};
use crate::configure;
use crate::protocol::{CallError, JitConfig, Job, Server};
use crate::say::{self, Diagnostics};

/// Failures in a row after which the server counts as gone.
const TRIES_MAX: u32 = 8;
/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(5);

pub(crate) async fn run(args: &[String]) -> i32 {
    let started = Instant::now();
    match listen(args, started).await {
        Ok(code) => code,
        Err(error) => {
            say::line(&format!("An error occurred: {error:#}"));
            TERMINATED
        }
    }
}

async fn listen(args: &[String], started: Instant) -> anyhow::Result<i32> {
    let config = match argument(args, "jitconfig") {
        Some(encoded) => JitConfig::decode(&encoded)?,
        None => configure::load()?.context("Not configured. Run config.(sh/cmd) to configure the runner.")?,
    };
    let diagnostics = Diagnostics::of("Runner");
    let server = Server::new(&config.server)?;
    let mut stop = StopRequest::new()?;
    let mut tries = Tries::default();
    let session = loop {
        let asked =
            tokio::select! { asked = server.session(&config) => asked, () = stop.requested() => return Ok(CANCELLED) };
        match asked {
            Ok(session) => break session,
            Err(error) => {
                if let Some(code) = tries.failed(&error, &diagnostics, &mut stop).await {
                    return Ok(code);
                }
            }
        }
    };
    say::line("");
    say::line("√ Connected to GitHub");
    say::line("");
    say::line(&format!("Current runner version: '{}'", version()));
    say::state(started, "Listening for Jobs");
    diagnostics.note(&format!("runner {} listens", config.runner_name));
    let mut tries = Tries::default();
    let code = loop {
        let polled =
            tokio::select! { polled = server.poll(&session) => polled, () = stop.requested() => break CANCELLED };
        match polled {
            Ok(None) => tries = Tries::default(),
            Ok(Some(job)) => {
                tries = Tries::default();
                let cancelled = run_job(&server, &session, &job, started, &diagnostics, &mut stop).await;
                if config.ephemeral {
                    break SUCCESS;
                }
                if cancelled {
                    break CANCELLED;
                }
            }
            Err(error) => {
                if let Some(code) = tries.failed(&error, &diagnostics, &mut stop).await {
                    break code;
                }
            }
        }
    };
    if server.end(&session).await.is_err() {
        diagnostics.note("the session could not be ended");
    }
    say::line("Exiting...");
    Ok(code)
}

/// Runs a job with its hooks and reports it. Whether it was cancelled because the runner was asked to end.
async fn run_job(
    server: &Server,
    session: &str,
    job: &Job,
    started: Instant,
    notes: &Diagnostics,
    stop: &mut StopRequest,
) -> bool {
    say::state(started, &format!("Running job: {}", job.name));
    notes.note(&format!("job {} of run {} in {}", job.job_id, job.run_id, job.repository));
    let mut conclusion = job.conclusion.clone();
    let mut cancelled = false;
    if !hook("ACTIONS_RUNNER_HOOK_JOB_STARTED", job).await {
        conclusion = "failure".into();
    } else {
        match worker(job) {
            Ok(mut child) => {
                tokio::select! {
                    status = child.wait() => if !status.is_ok_and(|status| status.success()) { conclusion = "failure".into() },
                    () = stop.requested() => {
                        cancelled = true;
                        conclusion = "cancelled".into();
                        let _ = child.kill().await;
                    }
                }
            }
            Err(error) => {
                notes.note(&format!("the worker cannot be started: {error}"));
                conclusion = "failure".into();
            }
        }
    }
    if !hook("ACTIONS_RUNNER_HOOK_JOB_COMPLETED", job).await && conclusion == "success" {
        conclusion = "failure".into();
    }
    for n in 0..TRIES_MAX {
        match server.complete(session, job.job_id, &conclusion).await {
            Err(CallError::Unreachable(_)) => tokio::time::sleep(pause(n)).await,
            Ok(()) | Err(CallError::Refused(_)) => break,
        }
    }
    let result = match conclusion.as_str() {
        "success" => "Succeeded",
        "cancelled" => "Canceled",
        "skipped" => "Skipped",
        _ => "Failed",
    };
    say::state(started, &format!("Job {} completed with result: {result}", job.name));
    cancelled
}

fn worker(job: &Job) -> std::io::Result<tokio::process::Child> {
    let directory = std::env::current_dir()?;
    Command::new(directory.join("bin/Runner.Worker"))
        .args([job.job_id.to_string(), job.duration_ms.to_string()])
        .env_remove("ACTIONS_RUNNER_INPUT_JITCONFIG")
        .env_remove("ACTIONS_RUNNER_INPUT_TOKEN")
        .kill_on_drop(true)
        .spawn()
}

/// Runs a job hook, if there is one. Whether the job may go on.
async fn hook(variable: &str, job: &Job) -> bool {
    let Some(script) = std::env::var_os(variable).filter(|script| !script.is_empty()) else { return true };
    let mut command = Command::new("bash");
    command.arg("-e").arg(script);
    command.env_remove("ACTIONS_RUNNER_INPUT_JITCONFIG").env_remove("ACTIONS_RUNNER_INPUT_TOKEN");
    command.env("GITHUB_RUN_ID", job.run_id.to_string()).env("GITHUB_REPOSITORY", &job.repository);
    command.status().await.is_ok_and(|status| status.success())
}

/// The version that the distribution was made with.
fn version() -> String {
    std::fs::read_to_string("bin/version").map_or_else(|_| "0.0.0".into(), |text| text.trim().to_owned())
}

/// The request to end.
struct StopRequest {
    terminate: Signal,
    interrupt: Signal,
}

impl StopRequest {
    fn new() -> anyhow::Result<Self> {
        let of = |kind| signal(kind).context("listening for signals");
        Ok(Self { terminate: of(SignalKind::terminate())?, interrupt: of(SignalKind::interrupt())? })
    }
    async fn requested(&mut self) {
        tokio::select! { _ = self.terminate.recv() => {}, _ = self.interrupt.recv() => {} }
    }
}

/// Failures in a row.
#[derive(Default)]
struct Tries(u32);

impl Tries {
    /// Counts a failure and pauses; the exit code when there is no sense in another try.
    async fn failed(&mut self, error: &CallError, notes: &Diagnostics, stop: &mut StopRequest) -> Option<i32> {
        match error {
            CallError::Refused(status) => {
                say::line(
                    "Failed to create a session. The runner registration has been deleted from the server, please re-configure.",
                );
                notes.note(&format!("refused with status {status}"));
                Some(TERMINATED)
            }
            CallError::Unreachable(error) => {
                self.0 += 1;
                notes.note(&format!("try {}: {error:#}", self.0));
                if self.0 >= TRIES_MAX {
                    return Some(RETRYABLE);
                }
                tokio::select! { () = tokio::time::sleep(pause(self.0)) => None, () = stop.requested() => Some(CANCELLED) }
            }
        }
    }
}

fn pause(tries: u32) -> Duration {
    Duration::from_millis(100).saturating_mul(1 << tries.min(6)).min(PAUSE_MAX)
}
