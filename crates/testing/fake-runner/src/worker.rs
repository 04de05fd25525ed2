//! `Runner.Worker`: one job, as a process of its own.

use std::time::Duration;

use crate::command_line::{SUCCESS, TERMINATED};
use crate::say::Diagnostics;

/// The longest job.
const JOB_MAX: Duration = Duration::from_secs(5 * 24 * 3600);

/// `worker <job id> <milliseconds>`.
pub(crate) async fn run(args: &[String]) -> i32 {
    let [job, millis, ..] = args else { return TERMINATED };
    let Ok(millis) = millis.parse() else { return TERMINATED };
    let diagnostics = Diagnostics::of("Worker");
    diagnostics.note(&format!("job {job} begins"));
    tokio::time::sleep(Duration::from_millis(millis).min(JOB_MAX)).await;
    diagnostics.note(&format!("job {job} ends"));
    SUCCESS
}
