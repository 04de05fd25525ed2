//! `cargo xtask lambda`: the functions as zips that AWS takes. The same source gives the same bytes, wherever the
//! checkout lies, so that who deploys a zip can check what is in it.

mod glibc;
mod pack;
mod zig;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::command::{cargo, root, run, target};
use crate::table;

/// The glibc of Amazon Linux 2023, which the runtime `provided.al2023` is.
const GLIBC_MAX: glibc::Version = glibc::Version(2, 34);

/// What the zips run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Arch {
    /// Intel and AMD.
    #[value(name = "x86_64")]
    X86_64,
    /// Graviton.
    #[value(name = "arm64")]
    Arm64,
}

impl Arch {
    /// This machine's.
    pub fn here() -> Result<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(Self::X86_64),
            "aarch64" => Ok(Self::Arm64),
            other => bail!("choose an architecture: Lambda has none like this machine's, {other}; hint: give --arch"),
        }
    }

    /// Rust's word for it.
    const fn triple(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A program that is shipped, built with its own feature of the package `runnersmith-lambda` alone.
struct Shipped {
    feature: &'static str,
    binary: &'static str,
    zip: &'static str,
}

/// All of them. One zip holds all runners functions: the handler's name says which it is.
const SHIPPED: [Shipped; 3] = [
    Shipped { feature: "webhook", binary: "lambda-webhook", zip: "webhook.zip" },
    Shipped { feature: "runners", binary: "lambda-runners", zip: "runners.zip" },
    Shipped { feature: "syncer", binary: "lambda-runner-binaries-syncer", zip: "runner-binaries-syncer.zip" },
];

/// The feature of each program that is shipped.
pub fn features() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|shipped| shipped.feature)
}

/// A zip that was made.
pub struct Zip {
    /// Where it lies.
    pub path: PathBuf,
    /// Its name.
    pub name: &'static str,
    /// Bytes.
    pub size: u64,
    /// The glibc that its program needs.
    glibc: glibc::Version,
}

/// Builds, packs and prints the table.
pub fn lambda(arch: Arch, out: Option<PathBuf>) -> Result<()> {
    let zips = make(arch, &out.unwrap_or_else(|| target().join("lambda")))?;
    let rows: Vec<[String; 3]> =
        zips.iter().map(|zip| [zip.path.display().to_string(), table::size(zip.size), zip.glibc.to_string()]).collect();
    println!("\n{arch}, for glibc {GLIBC_MAX} (Amazon Linux 2023)");
    table::print(["zip", "size", "needs glibc"], &rows);
    Ok(())
}

/// Builds and packs all functions.
pub fn make(arch: Arch, out: &Path) -> Result<Vec<Zip>> {
    let built = build(arch)?;
    std::fs::create_dir_all(out)
        .with_context(|| format!("make the directory {}; hint: choose another with --out", out.display()))?;
    SHIPPED.iter().map(|shipped| zip(shipped, &built, out)).collect()
}

fn zip(shipped: &Shipped, built: &Path, out: &Path) -> Result<Zip> {
    let binary = built.join(shipped.binary);
    let bytes = std::fs::read(&binary)
        .with_context(|| format!("read {}; hint: was the build interrupted?", binary.display()))?;
    let glibc = glibc::needed(&bytes);
    if glibc > GLIBC_MAX {
        bail!(
            "{} needs glibc {glibc}, Amazon Linux 2023 has {GLIBC_MAX}: AWS could not start it; \
             hint: build on a system with an older glibc, such as Debian 11 or Amazon Linux 2023",
            shipped.binary
        );
    }
    let path = out.join(shipped.zip);
    let packed = pack::pack(&bytes)
        .and_then(|packed| Ok(std::fs::write(&path, &packed).map(|()| packed)?))
        .with_context(|| format!("write {}; hint: is the disk full?", path.display()))?;
    Ok(Zip { path, name: shipped.zip, size: packed.len() as u64, glibc })
}

/// Builds all programs; where they lie.
fn build(arch: Arch) -> Result<PathBuf> {
    // Other flags than a developer's builds have: in one directory they would build everything again by turns.
    let directory = target().join("lambda-build");
    let native = Arch::here().is_ok_and(|here| here == arch);
    let flags = flags()?;
    // One call each, since one call would build all programs with all features.
    for shipped in &SHIPPED {
        let (mut command, triple) = if native {
            (cargo(&["build"]), arch.triple().to_owned())
        } else {
            (zig::cargo_zigbuild(arch)?, format!("{}.{GLIBC_MAX}", arch.triple()))
        };
        command.args(["--profile", "lambda", "--locked", "--target", &triple, "--target-dir"]).arg(&directory);
        command.args(["--package", "runnersmith-lambda", "--no-default-features", "--features", shipped.feature]);
        command.args(["--bin", shipped.binary]);
        command.env("CARGO_ENCODED_RUSTFLAGS", &flags).env_remove("RUSTFLAGS").env_remove("CARGO_TARGET_DIR");
        run(command).context("build the functions; hint: with little memory, CARGO_BUILD_JOBS=1 needs less of it")?;
    }
    Ok(directory.join(arch.triple()).join("lambda"))
}

/// No path of this machine gets into a program: they stand in panics' messages.
fn flags() -> Result<String> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).current_dir(root()).output();
    let sysroot = sysroot.context("start `rustc --print sysroot`; hint: is rustc on the PATH?")?;
    let sysroot = String::from_utf8_lossy(&sysroot.stdout).trim().to_owned();
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let home = home.context("find cargo's home; hint: set CARGO_HOME")?;
    let mut flags = Vec::new();
    // The last one that fits is taken: the checkout may lie in the home, not the other way round.
    for (from, to) in
        [(home.display().to_string(), "/cargo"), (sysroot, "/rust"), (root().display().to_string(), "/runnersmith")]
    {
        flags.push(format!("--remap-path-prefix={from}={to}"));
    }
    if !target().starts_with(root()) {
        flags.push(format!("--remap-path-prefix={}=/runnersmith/target", target().display()));
    }
    Ok(flags.join("\u{1f}"))
}
