//! All benchmarks with one command. They are figures, not tests: machines are noisy, so nothing here fails.

use anyhow::Result;

use crate::command::{cargo, run};

/// Runs them one after another.
pub fn bench() -> Result<()> {
    run(cargo(&["bench", "--workspace", "--locked", "--benches"]))
}
