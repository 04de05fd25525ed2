//! Where Terraform and its AWS provider are, and what a test does when they are not.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::find::cannot_run;

/// The provider's name below a mirror.
const PROVIDER: &str = "registry.terraform.io/hashicorp/aws";
/// The first minor version of Terraform 1 that has write-only arguments.
const MINOR_MIN: u32 = 11;

/// `true` when a test with Terraform cannot run here: reported and counted. Where Terraform and a mirror of the provider are, it
/// runs. No package index has either, so that they may be missing in CI too.
#[must_use]
pub fn skip_unless_there(test: &str) -> bool {
    let Ok(version) = Command::new("terraform").arg("version").env("CHECKPOINT_DISABLE", "1").output() else {
        cannot_run(test, "terraform is not on the PATH; hint: https://developer.hashicorp.com/terraform/install");
        return true;
    };
    let text = String::from_utf8_lossy(&version.stdout).into_owned();
    let line = text.lines().find(|line| line.starts_with("Terraform v")).unwrap_or_default();
    let number = line.trim_start_matches("Terraform v");
    let minor = number.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok()).unwrap_or(0);
    if minor < MINOR_MIN {
        cannot_run(test, &format!("Terraform {number} has no write-only arguments; 1.{MINOR_MIN} or newer is needed"));
        return true;
    }
    if mirror().is_none() && std::env::var("RUNNERSMITH_TERRAFORM_REGISTRY").is_err() {
        let why = "there is no local mirror of hashicorp/aws; hint: RUNNERSMITH_TERRAFORM_MIRROR names one, \
                   RUNNERSMITH_TERRAFORM_REGISTRY=1 lets Terraform fetch 700 MB from its registry";
        cannot_run(test, why);
        return true;
    }
    false
}

/// Where providers lie: where the environment says, or where Terraform itself looks, or in a directory of optional software.
fn mirror() -> Option<PathBuf> {
    if let Some(mirror) = std::env::var_os("RUNNERSMITH_TERRAFORM_MIRROR") {
        return Some(mirror.into());
    }
    let home = std::env::home_dir().unwrap_or_default();
    let mut places = vec![
        home.join(".terraform.d/plugins"),
        home.join(".local/share/terraform/plugins"),
        "/usr/local/share/terraform/plugins".into(),
        "/usr/share/terraform/plugins".into(),
    ];
    places.extend(std::fs::read_dir("/opt").into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())));
    places.into_iter().find(|place| place.join(PROVIDER).is_dir())
}

/// Terraform in a directory, as nobody's configuration has it: its own configuration file is written into `home`, and what
/// it keeps goes to `data`.
///
/// # Errors
/// When the file cannot be written.
pub fn command(directory: &Path, home: &Path, data: Option<&Path>) -> std::io::Result<Command> {
    let installation = mirror().map_or_else(String::new, |mirror| {
        let mirror = mirror.display().to_string();
        format!("provider_installation {{\n  filesystem_mirror {{\n    path    = {mirror:?}\n    include = [{PROVIDER:?}]\n  }}\n}}\n")
    });
    let file = home.join("terraformrc");
    std::fs::write(&file, format!("disable_checkpoint = true\n{installation}"))?;
    let mut command = Command::new("terraform");
    command.current_dir(directory).env("TF_CLI_CONFIG_FILE", file).env("TF_IN_AUTOMATION", "1");
    command.env("CHECKPOINT_DISABLE", "1");
    match data {
        Some(data) => command.env("TF_DATA_DIR", data),
        None => command.env_remove("TF_DATA_DIR"),
    };
    Ok(command)
}

/// The AWS provider as a process that several runs of Terraform use one after another (Terraform's own way to debug providers).
///
/// By itself Terraform checks the provider's 700 MB and starts it for each command, and in `terraform test` for each run: that was four
/// fifths of the processors' time of the module's tests. One process has one configuration at a time, so that each test has its own. It
/// is ended when this is dropped.
#[derive(Debug)]
pub struct Provider {
    child: Child,
    /// Kept open: what it says later has to go somewhere.
    _stdout: BufReader<ChildStdout>,
    attach: String,
}

impl Provider {
    /// Starts the provider that lies in a local mirror, in a directory from which it reads what has a relative path. Returns `None` where
    /// no mirror is found, or it does not start: then each run of Terraform starts its own.
    #[must_use]
    pub fn start(directory: &Path) -> Option<Self> {
        const SAYS: &str = "TF_REATTACH_PROVIDERS='";
        let mut command = Command::new(program(&mirror()?.join(PROVIDER))?);
        // The emulator speaks plain HTTP, and with a bundle of its own the provider cannot be configured more than once.
        command.env_remove("AWS_CA_BUNDLE");
        let mut child = command
            .arg("-debug")
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut stdout = BufReader::new(child.stdout.take()?);
        let mut line = String::new();
        while !line.contains(SAYS) {
            line.clear();
            if stdout.read_line(&mut line).ok().filter(|read| *read > 0).is_none() {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
        let attach = line.split_once(SAYS)?.1.trim().trim_end_matches('\'').to_owned();
        Some(Self { child, _stdout: stdout, attach })
    }

    /// Makes a run of Terraform use it.
    pub fn attach(&self, command: &mut Command) {
        command.env("TF_REATTACH_PROVIDERS", &self.attach);
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The newest unpacked program below a provider's directory in a mirror: `<version>/<system>/terraform-provider-aws…`.
fn program(provider: &Path) -> Option<PathBuf> {
    let entries =
        |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let named =
        |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("terraform-provider-"));
    let system = format!("linux_{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" });
    let versions = entries(provider.to_owned());
    versions.flat_map(|version| entries(version.join(&system))).filter(|path| path.is_file() && named(path)).max()
}

/// Copies a directory, so that what Terraform writes beside a module is nobody's. What it has written there already, and built
/// functions, stay behind.
///
/// # Errors
/// When something cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(".terraform") || name == "functions" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to.join(&name))?;
        } else {
            std::fs::copy(entry.path(), to.join(&name))?;
        }
    }
    Ok(())
}
