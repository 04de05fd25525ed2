//! Where Terraform and its AWS provider are, and what a test does when they are not.

use std::path::{Path, PathBuf};
use std::process::Command;

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
