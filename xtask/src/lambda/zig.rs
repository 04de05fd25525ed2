//! Building for another architecture: zig is a linker for all of them, with the glibc that is asked for. It comes from
//! PyPI, so that nothing has to be installed on the system.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::Arch;
use crate::command::{is_there, program, root, run, target};

/// What the virtual environment holds.
const PACKAGES: [&str; 2] = ["ziglang==0.15.2", "cargo-zigbuild==0.24.0"];

/// `cargo zigbuild`, ready to build for this architecture.
pub fn cargo_zigbuild(arch: Arch) -> Result<Command> {
    let bin = environment()?;
    add_target(arch)?;
    let mut paths = vec![bin.clone()];
    paths.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let path = std::env::join_paths(paths)
        .with_context(|| format!("put {} on the PATH; hint: it must hold no colon", bin.display()))?;
    let mut command = Command::new(bin.join("cargo-zigbuild"));
    command.arg("zigbuild").env("PATH", path).current_dir(root());
    Ok(command)
}

/// The virtual environment, made when it is not there; where its programs are.
fn environment() -> Result<PathBuf> {
    let directory = target().join("python-zig");
    let (bin, stamp) = (directory.join("bin"), directory.join("installed"));
    let wanted = PACKAGES.join(" ");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(bin);
    }
    if !is_there("python3") {
        bail!(
            "install zig from PyPI: python3 is not there; hint: install Python 3, or build on a machine of that architecture"
        );
    }
    let shown = directory.display().to_string();
    run(program("python3", &["-m", "venv", &shown]))
        .with_context(|| format!("make the virtual environment {shown}; hint: Debian's package is python3-venv"))?;
    run(pip(&bin)).with_context(|| {
        format!("install {wanted} in {shown}; hint: PyPI must be reachable, PIP_INDEX_URL names a mirror")
    })?;
    std::fs::write(&stamp, wanted).with_context(|| format!("write {}; hint: is the disk full?", stamp.display()))?;
    Ok(bin)
}

fn pip(bin: &Path) -> Command {
    let mut command = Command::new(bin.join("python3"));
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]);
    command.args(PACKAGES).current_dir(root());
    command
}

fn add_target(arch: Arch) -> Result<()> {
    let triple = arch.triple();
    if !is_there("rustup") {
        // Without rustup the target may be there all the same; if it is not, cargo says so.
        return Ok(());
    }
    run(program("rustup", &["--quiet", "target", "add", triple]))
        .with_context(|| format!("install Rust's library for {triple}; hint: static.rust-lang.org must be reachable"))
}
