//! Machines as local processes, and hand-off by owner-only file.
//!
//! This crate exists apart so that a single computer can take the place of a cloud: the same controllers launch, list and
//! terminate *machines*, each of which is here a directory with a supervisor process. Nothing is remembered in memory;
//! the directory is the record, making it is the claim, and the supervisor's file lock (never a process id) is its
//! life. So any number of programs may share a root, and any of them may be killed at any moment.
//!
//! ```text
//! <root>/<batch>.<n>/        one machine
//!     machine.json           set, control plane, batch, capacity pool, times: written once, before the supervisor is started
//!     lock                   locked by the supervisor for as long as it lives
//!     started                the one supervisor has begun; there will be no second
//!     terminate              it is to end
//!     voice, voice.job       machine status: the supervisor's word, and the job hooks' word
//!     handoff/config.json    the runner's configuration, read once and deleted
//!     runner/, home/         its copy of the distribution and its HOME, removed at its end
//!     runner.log, diag/      what the runner printed, and its diagnostic files
//! <root>/.ended/             names of machines whose directory is gone, so that they are never launched again
//! <root>/.cache/             extracted distributions, by SHA-256
//! <root>/.logs/              logs of machines that are gone, if kept
//! <root>/.changed            touched with each change of a status
//! ```

mod config;
mod dir;
mod distribution;
mod hand_off;
mod launch;
mod log;
mod machines;
mod processes;
mod runner;
mod supervisor;
mod sweep;
mod watch;

pub use config::LocalConfig;
pub use hand_off::LocalHandOff;
pub use machines::LocalMachines;
pub use supervisor::{Ending, SuperviseError, supervise, supervise_with};
