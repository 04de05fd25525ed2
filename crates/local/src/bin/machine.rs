//! The supervisor of one machine as a program of its own, for tests of this crate: the real program calls the same function.
//!
//! `runnersmith-machine DIR` supervises; `runnersmith-machine --launch ROOT DISTRIBUTION` launches one machine and then waits
//! forever, so that a test can kill it.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use runnersmith_local::{LocalConfig, LocalMachines, supervise};
use runnersmith_ports::{LaunchRequest, Machines, SystemClock};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let done = match arguments.as_slice() {
        [dir] => supervise(Path::new(dir)).map(|_| ()).map_err(|error| error.to_string()),
        [flag, root, distribution] if flag == "--launch" => {
            launch(root, distribution).map_err(|error| error.to_string())
        }
        _ => return ExitCode::from(2),
    };
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn launch(root: &OsString, distribution: &OsString) -> Result<(), Box<dyn std::error::Error>> {
    let supervisor = vec![std::env::current_exe()?.into_os_string()];
    let config = LocalConfig::new(root.into(), supervisor, distribution.into());
    let request = std::fs::read_to_string(Path::new(root).join(".request.json"))?;
    let (batch, control_plane) = serde_json::from_str(&request)?;
    let machines = LocalMachines::new(config, Arc::new(SystemClock))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(machines.launch(&LaunchRequest { batch, control_plane }))?;
    loop {
        std::thread::park();
    }
}
