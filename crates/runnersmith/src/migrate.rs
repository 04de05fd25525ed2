//! `runnersmith migrate`: files in, the report out. Without the feature `migrate` the command only says what is missing.

#[cfg(feature = "migrate")]
use std::collections::BTreeMap;

use crate::cli;
use crate::exit::{CommandFailure, ExitStatus};
#[cfg(feature = "migrate")]
use crate::report;

/// The most files that are read in one directory.
#[cfg(feature = "migrate")]
const FILES_MAX: usize = 1000;

/// Reads the directory's Terraform files and prints what changes; [`ExitStatus::RequestFailed`] when something is left to do by hand.
#[cfg(feature = "migrate")]
pub fn run(options: &cli::Migrate) -> Result<ExitStatus, CommandFailure> {
    let shown = options.directory.display();
    let hint = "name the directory that holds your module block";
    let outside = |error: std::io::Error| CommandFailure::outside(format!("read {shown}: {error}"), hint);
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(&options.directory).map_err(outside)? {
        let entry = entry.map_err(outside)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !(name.ends_with(".tf") || name.ends_with(".tf.json")) {
            continue;
        }
        // A link's file is read, as Terraform does; a link to nothing is an error there too.
        let of_file = |error: std::io::Error| {
            CommandFailure::outside(
                format!("read {}: {error}", entry.path().display()),
                "correct the file or the link, or remove it",
            )
        };
        if !std::fs::metadata(entry.path()).map_err(of_file)?.is_file() {
            continue;
        }
        if files.len() == FILES_MAX {
            return Err(CommandFailure::outside(
                format!("read {shown}: it has more than {FILES_MAX} Terraform files"),
                hint,
            ));
        }
        let bytes = std::fs::read(entry.path()).map_err(of_file)?;
        files.insert(name, String::from_utf8_lossy(&bytes).into_owned());
    }
    if files.is_empty() {
        return Err(CommandFailure::outside(format!("read {shown}: there is no .tf or .tf.json file"), hint));
    }
    let found = runnersmith_migrate::check(&files);
    if options.json {
        let text = serde_json::to_string_pretty(&found).map_err(|error| CommandFailure::internal(error.to_string()))?;
        report::line(&text);
    } else {
        report::line(found.to_string().trim_end());
    }
    Ok(if found.is_by_hand() { ExitStatus::RequestFailed } else { ExitStatus::Success })
}

/// Says that this program cannot.
///
/// # Errors
/// Always.
#[cfg(not(feature = "migrate"))]
pub fn run(options: &cli::Migrate) -> Result<ExitStatus, CommandFailure> {
    Err(CommandFailure::config(
        format!("read {}: this program was built without the feature `migrate`", options.directory.display()),
        "build it with `cargo build --profile dist --features migrate`, or take a released program",
    ))
}
