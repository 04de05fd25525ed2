//! Processes of functions, ended from outside.

/// Kills a process; one that is gone already is no error.
pub(crate) fn kill(process: u32) {
    if let Ok(process) = i32::try_from(process) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(process), nix::sys::signal::Signal::SIGKILL);
    }
}
