//! The processes of one machine.
//!
//! A process id may belong to somebody else by the time it is used, and a job may start processes outside the runner's
//! process group. Every process of a machine inherits one environment variable that holds the machine's directory;
//! that is how they are found, no matter who started them and how the supervisor ended.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// The variable that every process of a machine inherits.
pub(crate) const MARKER: &str = "RUNNERSMITH_MACHINE_DIR";
/// What the real runner calls the process that runs a job.
const WORKER: &[u8] = b"Runner.Worker";
/// Processes may fork while they are killed; so many times they are looked for again.
const ROUNDS_MAX: usize = 20;
/// The most bytes of a process's environment or arguments that are read.
const PROC_BYTES_MAX: u64 = 1024 * 1024;

/// All processes of the machine, this process excepted.
fn of_machine(dir: &Path) -> Vec<i32> {
    let mut wanted = MARKER.as_bytes().to_vec();
    wanted.push(b'=');
    wanted.extend_from_slice(dir.as_os_str().as_bytes());
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|&pid| pid != own)
        .filter(|&pid| read_proc(pid, "environ").split(|&byte| byte == 0).any(|variable| variable == wanted))
        .collect()
}

fn read_proc(pid: i32, file: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(format!("/proc/{pid}/{file}")) {
        // A process that ends while it is read gives what there was.
        let _ = file.take(PROC_BYTES_MAX).read_to_end(&mut bytes);
    }
    bytes
}

/// Whether a job runs on the machine: one of its processes is called `Runner.Worker`.
pub(crate) fn has_worker(dir: &Path) -> bool {
    of_machine(dir).into_iter().any(|pid| {
        let arguments = read_proc(pid, "cmdline");
        let name =
            Path::new(OsStr::from_bytes(arguments.split(|&byte| byte == 0).next().unwrap_or_default())).file_name();
        name.is_some_and(|name| name.as_bytes() == WORKER) || read_proc(pid, "comm").trim_ascii() == WORKER
    })
}

/// Kills every process of the machine but this one.
pub(crate) fn kill_all(dir: &Path) {
    for _ in 0..ROUNDS_MAX {
        let found = of_machine(dir);
        if found.is_empty() {
            return;
        }
        for pid in found {
            // It may have ended meanwhile.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::yield_now();
    }
    tracing::warn!(dir = %dir.display(), rounds = ROUNDS_MAX, "processes of a machine are left after killing them");
}

/// Signals the process group whose leader is our own child, not yet waited for: its id cannot have been given away.
pub(crate) fn signal_group(leader: Option<u32>, signal: Signal) {
    if let Some(leader) = leader.and_then(|id| i32::try_from(id).ok()).filter(|&id| id > 1) {
        let _ = killpg(Pid::from_raw(leader), signal);
    }
}
