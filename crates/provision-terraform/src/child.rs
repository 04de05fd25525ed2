//! One Terraform process from its start to its end, in a thread of its own and without a runtime: it must be seen through when
//! the future that wanted it is gone, and when the runtime is.
//!
//! The child leads a process group. So an interrupt of the terminal reaches it once, through us, and not twice: Terraform takes a
//! second interrupt as the wish to end without saving the state.

use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use runnersmith_issueops_engine::ProvisionError;

use crate::environment::Environment;
use crate::hide::Hide;
use crate::said::Said;

/// How often we look whether we are asked to stop, and whether a silent child is still there: std's `Child` has no wait with a
/// bound.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long after its end a child's pipes are read, when a program that it started keeps them open.
const DRAIN_FOR: Duration = Duration::from_secs(2);
/// The longest output that is taken in whole, in bytes: a state or a plan as JSON.
const OUTPUT_MAX: usize = 512 * 1024 * 1024;
/// The longest line, in bytes; a longer one is taken as several.
const LINE_MAX: usize = 4 * 1024 * 1024;

/// Said once, never taken back: stop in order.
#[derive(Clone, Default)]
pub(crate) struct Stop {
    requested: Arc<AtomicBool>,
    at: Option<Instant>,
}

impl Stop {
    /// One that nobody requests, and that comes by itself.
    pub(crate) fn after(time: Duration) -> Self {
        Self { at: Instant::now().checked_add(time), ..Self::default() }
    }
    pub(crate) fn request(&self) {
        self.requested.store(true, Ordering::Release);
    }
    pub(crate) fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Acquire) || self.at.is_some_and(|at| at <= Instant::now())
    }
}

/// What to do with a child's standard output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// Line by line, shown as they come.
    Lines,
    /// Whole, for us alone.
    Whole,
}

/// How a child ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Its output, if it was wanted whole.
    pub(crate) output: Vec<u8>,
    pub(crate) said: Said,
    /// It did not end by itself in the time that it had.
    pub(crate) killed: bool,
}

/// What all children of a run have in common.
pub(crate) struct Runner<'a> {
    pub(crate) program: &'a Path,
    pub(crate) environment: &'a Environment,
    pub(crate) hide: &'a Hide,
    pub(crate) stop: &'a Stop,
    pub(crate) show: &'a dyn Fn(String),
}

enum Event {
    Bytes(Source, Vec<u8>),
    End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Out,
    Err,
}

fn read_on(mut from: impl Read + Send + 'static, source: Source, to: SyncSender<Event>) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => {
                    if to.send(Event::Bytes(source, buffer[..length].to_vec())).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let _ = to.send(Event::End);
    });
}

impl Runner<'_> {
    /// Runs the program in `directory`. When we are asked to stop, its group is interrupted once, and killed after `patience`.
    pub(crate) fn run(
        &self,
        directory: &Path,
        arguments: &[&str],
        output: Output,
        patience: Duration,
    ) -> Result<Ended, ProvisionError> {
        if self.stop.is_requested() {
            return Err(ProvisionError::Cancelled);
        }
        let mut child = Command::new(self.program)
            .args(arguments)
            .current_dir(directory)
            .env_clear()
            .envs(&self.environment.variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| ProvisionError::Unable(format!("cannot start {}: {error}", self.program.display())))?;
        let (to, from) = sync_channel(64);
        if let Some(out) = child.stdout.take() {
            read_on(out, Source::Out, to.clone());
        }
        if let Some(err) = child.stderr.take() {
            read_on(err, Source::Err, to);
        }
        let mut watch = Watch { runner: self, output, patience, interrupted_at: None, killed: false };
        let mut captured = Captured::default();
        let status = watch.until_it_ended(&mut child, &from, &mut captured)?;
        captured.rest(self, output);
        if captured.too_much {
            return Err(ProvisionError::Unable(format!("{} said more than {OUTPUT_MAX} bytes", arguments.join(" "))));
        }
        Ok(Ended { status, output: captured.whole, said: captured.said, killed: watch.killed })
    }
}

struct Watch<'a> {
    runner: &'a Runner<'a>,
    output: Output,
    patience: Duration,
    interrupted_at: Option<Instant>,
    killed: bool,
}

/// A child that has ended.
struct Gone {
    since: Instant,
    by_signal: bool,
}

impl Gone {
    /// Looks whether a child has ended, and does not reap it: until that is done, its number is nobody else's.
    fn look(child: Pid) -> Result<Option<Self>, Errno> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let by_signal = match waitid(Id::Pid(child), flags) {
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => return Ok(None),
            Ok(WaitStatus::Exited(..)) => false,
            // The error is nix's own word for a signal that it has no name for.
            Ok(_) | Err(Errno::EINVAL) => true,
            Err(error) => return Err(error),
        };
        Ok(Some(Self { since: Instant::now(), by_signal }))
    }
}

impl Watch<'_> {
    fn until_it_ended(
        &mut self,
        child: &mut Child,
        from: &Receiver<Event>,
        captured: &mut Captured,
    ) -> Result<ExitStatus, ProvisionError> {
        // It was started: what it did is not known.
        let lost = |error: std::io::Error| ProvisionError::Failed {
            resource: None,
            message: format!("cannot wait for a process: {error}"),
        };
        let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
        let by_signal = self.until_it_is_gone(group, from, captured);
        // One that the system has reaped already, because somebody asked it to, has a number that may be another's by now.
        if by_signal != Err(Errno::ECHILD) && (self.interrupted_at.is_some() || by_signal != Ok(false)) {
            // What it started and left, when it could not see to it: a provider that nobody listens to goes on making things.
            let _ = killpg(group, Signal::SIGKILL);
        }
        // Only now: the number of a child that is reaped, and of its group, may be given to others.
        let status = child.wait();
        by_signal.map_err(|error| lost(error.into()))?;
        status.map_err(lost)
    }

    /// Until it has ended, and its pipes are read to their end or others have held them for too long. Returns whether a signal
    /// ended it.
    fn until_it_is_gone(&mut self, group: Pid, from: &Receiver<Event>, captured: &mut Captured) -> Result<bool, Errno> {
        let mut closed = 0_u8;
        let mut gone: Option<Gone> = None;
        loop {
            self.look_at_stop(group);
            match from.recv_timeout(LOOK_EVERY) {
                Ok(Event::Bytes(source, bytes)) => captured.take(source, &bytes, self.runner, self.output),
                Ok(Event::End) => closed += 1,
                Err(RecvTimeoutError::Timeout) => {}
                // Both pipes are closed and it does not end.
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK_EVERY / 10),
            }
            if gone.is_none() {
                gone = Gone::look(group)?;
            }
            if let Some(Gone { since, by_signal }) = gone
                && (closed == 2 || since.elapsed() > DRAIN_FOR)
            {
                return Ok(by_signal);
            }
        }
    }

    fn look_at_stop(&mut self, group: Pid) {
        match self.interrupted_at {
            None if self.runner.stop.is_requested() => {
                let _ = killpg(group, Signal::SIGINT);
                self.interrupted_at = Some(Instant::now());
            }
            Some(at) if !self.killed && at.elapsed() > self.patience => {
                let _ = killpg(group, Signal::SIGKILL);
                self.killed = true;
            }
            None | Some(_) => {}
        }
    }
}

#[derive(Default)]
struct Captured {
    said: Said,
    whole: Vec<u8>,
    out: Vec<u8>,
    err: Vec<u8>,
    too_much: bool,
}

impl Captured {
    fn take(&mut self, source: Source, bytes: &[u8], runner: &Runner<'_>, output: Output) {
        if source == Source::Out && output == Output::Whole {
            if self.whole.len() + bytes.len() > OUTPUT_MAX {
                self.too_much = true;
            } else {
                self.whole.extend_from_slice(bytes);
            }
            return;
        }
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.buffer(source).extend_from_slice(&rest[..end]);
            self.line(source, runner);
            rest = &rest[end + 1..];
        }
        self.buffer(source).extend_from_slice(rest);
        if self.buffer(source).len() > LINE_MAX {
            self.line(source, runner);
        }
    }

    const fn buffer(&mut self, source: Source) -> &mut Vec<u8> {
        match source {
            Source::Out => &mut self.out,
            Source::Err => &mut self.err,
        }
    }

    fn line(&mut self, source: Source, runner: &Runner<'_>) {
        let bytes = std::mem::take(self.buffer(source));
        let line = String::from_utf8_lossy(&bytes);
        let shown = match source {
            Source::Out => self.said.line(&line, runner.hide),
            Source::Err => self.said.text(&line, runner.hide),
        };
        shown.into_iter().for_each(runner.show);
    }

    /// Last lines that do not end.
    fn rest(&mut self, runner: &Runner<'_>, output: Output) {
        if output == Output::Lines && !self.out.is_empty() {
            self.line(Source::Out, runner);
        }
        if !self.err.is_empty() {
            self.line(Source::Err, runner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_requested_or_comes_by_itself() {
        let stop = Stop::default();
        assert!(!stop.is_requested());
        stop.clone().request();
        assert!(stop.is_requested(), "all that is cloned sees it");
        assert!(Stop::after(Duration::ZERO).is_requested());
        assert!(!Stop::after(Duration::from_secs(3_600)).is_requested());
    }
}
