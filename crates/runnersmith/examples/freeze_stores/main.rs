//! Writes what the stores of this commit keep, through their own interfaces, as test data for the programs that come later.

#![allow(clippy::unwrap_used, reason = "a program that fails panics")]

mod cloud;
mod embedded_store;
mod machines;
mod population;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Writes one value a line.
fn write_lines(out: &Path, name: &str, values: impl Iterator<Item = Value>) {
    let text: String = values.map(|value| format!("{value}\n")).collect();
    std::fs::write(out.join(name), text).unwrap();
}

#[tokio::main]
async fn main() {
    let out = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../testing/fixtures/e2c886d"));
    std::fs::create_dir_all(&out).unwrap();
    let parts: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|given| given == part);
    if wanted("store") {
        embedded_store::write(&out).await;
    }
    if wanted("machines") {
        machines::write(&out.join("local")).await;
    }
    if wanted("cloud") {
        cloud::write(&out).await;
    }
}
