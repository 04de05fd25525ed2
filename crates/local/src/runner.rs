//! The runner's own processes: configured, started, listened to, and ended.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use runnersmith_ports::RunnerConfig;
use runnersmith_types::{MachineStatus, Secret, Timestamp};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::dir::{CHANGED, JOB_STATUS_FILE, MachineDir};
use crate::log::{RunnerLog, forward_lines};
use crate::processes;
use crate::watch::{LOOK_EVERY, Watch};

/// What the real runner prints once it is online.
const LISTENS: &str = "Listening for Jobs";
/// Lines that wait to be written; a runner that prints faster waits.
const LINES_WAITING_MAX: usize = 256;
/// After the process ended, what its pipes still hold is read for so long.
const DRAIN: Duration = Duration::from_millis(500);

/// A runner whose files are ready.
pub(crate) struct Runner {
    home: PathBuf,
    hooks: [(&'static str, PathBuf); 2],
    log: RunnerLog,
}

impl Runner {
    /// Writes the hooks and opens the log.
    ///
    /// # Errors
    /// What the file system says.
    pub fn prepare(dir: &MachineDir, config: &RunnerConfig) -> io::Result<Self> {
        let secret: &Secret = match config {
            RunnerConfig::Jit { encoded } => encoded,
            RunnerConfig::Token { token, .. } => token,
        };
        Ok(Self {
            home: dir.file("runner"),
            hooks: [
                ("ACTIONS_RUNNER_HOOK_JOB_STARTED", write_hook(dir, "hook-started.sh", "busy")?),
                ("ACTIONS_RUNNER_HOOK_JOB_COMPLETED", write_hook(dir, "hook-completed.sh", "job_done")?),
            ],
            log: RunnerLog::open(dir.file("runner.log"), vec![secret.clone()]),
        })
    }

    /// Configures the runner if it needs to be, then runs it to its end. Both results say how it ended.
    pub async fn run(mut self, watch: &mut Watch<'_>, config: RunnerConfig) -> Result<String, String> {
        let boot_until = watch.boot_deadline();
        let mut start = self.command("run.sh");
        match config {
            RunnerConfig::Jit { encoded } => {
                // The runner takes any argument from the environment, which other users cannot read, unlike a command line.
                start.env("ACTIONS_RUNNER_INPUT_JITCONFIG", encoded.expose());
            }
            RunnerConfig::Token { url, token, name, labels, group, ephemeral } => {
                let mut configure = self.command("config.sh");
                // Without the flag actions/runner adds self-hosted, its system and its architecture to the set's labels.
                configure.env("ACTIONS_RUNNER_INPUT_TOKEN", token.expose());
                configure.args([
                    "--unattended",
                    "--url",
                    &url,
                    "--name",
                    &name,
                    "--no-default-labels",
                    "--labels",
                    &labels,
                ]);
                if let Some(group) = &group {
                    configure.args(["--runnergroup", group]);
                }
                if ephemeral {
                    configure.arg("--ephemeral");
                }
                configure.args(["--replace", "--disableupdate", "--work", "_work"]);
                let ended = self.child(watch, configure, boot_until).await?;
                if ended != "0" {
                    return Err(format!("config.sh: {ended}"));
                }
            }
        }
        self.child(watch, start, boot_until).await
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new(self.home.join(script));
        command.current_dir(&self.home).envs(self.hooks.iter().map(|(name, path)| (name, path)));
        if nix::unistd::Uid::effective().is_root() {
            // Somebody who runs us as root has decided that jobs run as root; without this the runner refuses to start.
            command.env("RUNNER_ALLOW_RUNASROOT", "1");
        }
        // Its own group, so that signals to it do not reach the supervisor.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        command
    }

    /// Runs one process to its end, or to ours. `Ok` is its exit code or signal, `Err` our reason.
    async fn child(
        &mut self,
        watch: &mut Watch<'_>,
        mut command: Command,
        boot_until: Timestamp,
    ) -> Result<String, String> {
        let mut child = command.spawn().map_err(|error| format!("cannot start the runner: {error}"))?;
        drop(command);
        let mut lines = forward(&mut child);
        let mut stopping: Option<(&'static str, Timestamp)> = None;
        let mut listens = false;
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let status = loop {
            tokio::select! {
                status = child.wait() => break status,
                Some(line) = lines.recv() => {
                    listens |= self.log_line(watch, &line);
                }
                _ = look.tick() => {
                    if let Some((_, kill_at)) = stopping {
                        if watch.clock.now() >= kill_at {
                            processes::signal_group(child.id(), Signal::SIGKILL);
                            processes::kill_all(watch.dir.path());
                        }
                    } else if let Some(reason) = reason(watch, &mut listens, boot_until).await {
                        processes::signal_group(child.id(), Signal::SIGTERM);
                        let grace = Duration::from_millis(watch.record.kill_grace_ms);
                        stopping = Some((reason, watch.clock.now().plus(grace)));
                    }
                }
            }
        };
        // Before the pipes are drained: what the job left behind may hold them open.
        processes::kill_all(watch.dir.path());
        let drain = async {
            while let Some(line) = lines.recv().await {
                self.log_line(watch, &line);
            }
        };
        // A pipe that is still open is somebody else's.
        let _ = tokio::time::timeout(DRAIN, drain).await;
        match (stopping, status) {
            (Some((reason, _)), _) => Err(reason.to_owned()),
            (None, Ok(status)) => Ok(describe(status)),
            (None, Err(error)) => Err(format!("cannot wait for the runner: {error}")),
        }
    }

    /// Logs a line. Whether it says that the runner listens.
    fn log_line(&mut self, watch: &Watch<'_>, line: &str) -> bool {
        self.log.line(line);
        let listens = line.contains(LISTENS);
        if listens && let Err(error) = watch.dir.report(&MachineStatus::Listening) {
            tracing::warn!(dir = %watch.dir.path().display(), %error, "cannot record that the runner listens");
        }
        listens
    }
}

/// Why the runner must end now. A job that runs is as good a sign that the boot is over as the runner's own word.
async fn reason(watch: &mut Watch<'_>, booted: &mut bool, boot_until: Timestamp) -> Option<&'static str> {
    let reason = watch.reason().await;
    if reason.is_some() || *booted || watch.clock.now() < boot_until {
        return reason;
    }
    *booted = processes::has_worker(watch.dir.path());
    (!*booted).then_some("the runner did not listen within the boot deadline")
}

fn forward(child: &mut Child) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(LINES_WAITING_MAX);
    if let Some(stdout) = child.stdout.take() {
        tokio::spawn(forward_lines(stdout, sender.clone()));
    }
    if let Some(stderr) = child.stderr.take() {
        tokio::spawn(forward_lines(stderr, sender));
    }
    lines
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => code.to_string(),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown".into(),
    }
}

/// A hook never fails: a job must not fail because its machine could not report.
fn write_hook(dir: &MachineDir, name: &str, word: &str) -> io::Result<PathBuf> {
    let path = dir.file(name);
    let status = quoted(&dir.file(JOB_STATUS_FILE));
    let changed = quoted(&dir.path().with_file_name(CHANGED));
    let text = format!(
        "#!/bin/sh\nstatus={status}\nprintf '%s\\n' {word} > \"$status.$$\" && mv -f \"$status.$$\" \"$status\"\n\
         printf '%s' $$ > {changed}\nexit 0\n"
    );
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o700).open(&path)?;
    file.write_all(text.as_bytes())?;
    Ok(path)
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}
