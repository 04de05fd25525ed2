//! A fake of the actions/runner distribution, with the same command line. Tests and demo.
//!
//! The real runner speaks an undocumented protocol to GitHub and cannot be shipped with tests. This one has its command line, its
//! files, its output, its hooks, its worker process and its exit codes, and speaks a small HTTP protocol to the GitHub simulator.
//! What was tried with it was not tried with the real runner.
//!
//! Exit codes, as the real listener's: 0 success, and the end of an ephemeral runner; 1 terminated error (bad arguments, a runner that
//! is not configured or not known any more); 2 retryable error (the server cannot be reached); 130 asked to end.

mod command_line;
mod configure;
mod distribution;
mod listener;
mod protocol;
mod say;
mod worker;

pub use distribution::{tarball, write_distribution};
pub use protocol::{JitConfig, Job};

use command_line::TERMINATED;

/// Runs one of the runner's programs in the current directory: `listener …`, `configure …` or `worker …`. Returns the exit code.
pub async fn run(args: &[String]) -> i32 {
    let Some((program, rest)) = args.split_first() else { return TERMINATED };
    match program.as_str() {
        "listener" => listener::run(rest).await,
        "configure" => configure::run(rest).await,
        "worker" => worker::run(rest).await,
        _ => TERMINATED,
    }
}
