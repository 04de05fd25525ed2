//! A fake of the actions/runner distribution, with the same command line. Tests and demo.
//!
//! The real runner speaks an undocumented protocol to GitHub and cannot be shipped with tests. This one has its command line, its
//! files, its output, its hooks, its worker process and its exit codes, and speaks a small HTTP protocol to the GitHub simulator.
//! What was tried with it was not tried with the real runner.
//!
//! Exit codes, as the real listener's: 0 success, and the end of an ephemeral runner; 1 terminated error (bad arguments, a runner that
//! is not configured or not known any more); 2 retryable error (the server cannot be reached); 130 told to end.

mod configure;
mod distribution;
mod listener;
mod protocol;
mod say;
mod worker;

pub use distribution::{tarball, write_distribution};
pub use protocol::{JitConfig, Job};

/// Success.
pub(crate) const SUCCESS: i32 = 0;
/// Nothing that repeating could mend.
pub(crate) const TERMINATED: i32 = 1;
/// The server cannot be reached.
pub(crate) const RETRYABLE: i32 = 2;
/// Told to end.
pub(crate) const CANCELLED: i32 = 130;

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

/// The value of `--name value` or `--name=value`, else of the environment's `ACTIONS_RUNNER_INPUT_NAME`, as the real runner does.
pub(crate) fn argument(args: &[String], name: &str) -> Option<String> {
    let flag = format!("--{name}");
    for (n, arg) in args.iter().enumerate() {
        if *arg == flag {
            return args.get(n + 1).cloned();
        }
        if let Some(value) = arg.strip_prefix(&flag).and_then(|rest| rest.strip_prefix('=')) {
            return Some(value.to_owned());
        }
    }
    std::env::var(format!("ACTIONS_RUNNER_INPUT_{}", name.to_uppercase())).ok().filter(|value| !value.is_empty())
}

/// Whether `--name` is given.
pub(crate) fn flag(args: &[String], name: &str) -> bool {
    let flag = format!("--{name}");
    args.contains(&flag)
}
