//! The fake runner as a program of its own, for tests of this crate: `runnersmith-fake-runner fake-runner <listener|configure|worker> …`.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(2).collect();
    ExitCode::from(u8::try_from(runnersmith_fake_runner::run(&args).await).unwrap_or(1))
}
