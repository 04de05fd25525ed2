//! The command line that all of the runner's programs have: arguments and exit codes.

/// Success.
pub(crate) const SUCCESS: i32 = 0;
/// Nothing that repeating could fix.
pub(crate) const TERMINATED: i32 = 1;
/// The server cannot be reached.
pub(crate) const RETRYABLE: i32 = 2;
/// Asked to end.
pub(crate) const CANCELLED: i32 = 130;

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
