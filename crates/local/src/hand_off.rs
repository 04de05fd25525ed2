//! Hand-off by a file that only its owner can read, deleted by its reader.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use runnersmith_ports::{HandOff, HandOffError, RunnerConfig};
use runnersmith_types::{MachineId, RunnerName, RunnerScope, Secret, Timestamp};
use serde::{Deserialize, Serialize};

use crate::dir::{MachineDir, Standing, read_small, remove_file, write_atomically};

/// The file's form. Not `Debug`: it holds a secret.
#[derive(Serialize, Deserialize)]
#[serde(tag = "means", rename_all = "snake_case")]
enum Wire {
    Jit { encoded: String },
    Token { url: String, token: String, name: String, labels: String, group: Option<String>, ephemeral: bool },
}

impl Wire {
    fn of(config: &RunnerConfig) -> Self {
        match config {
            RunnerConfig::Jit { encoded } => Self::Jit { encoded: encoded.expose().to_owned() },
            RunnerConfig::Token { url, token, name, labels, group, ephemeral } => Self::Token {
                url: url.clone(),
                token: token.expose().to_owned(),
                name: name.clone(),
                labels: labels.clone(),
                group: group.clone(),
                ephemeral: *ephemeral,
            },
        }
    }

    fn config(self) -> RunnerConfig {
        match self {
            Self::Jit { encoded } => RunnerConfig::Jit { encoded: Secret::new(encoded) },
            Self::Token { url, token, name, labels, group, ephemeral } => {
                RunnerConfig::Token { url, token: Secret::new(token), name, labels, group, ephemeral }
            }
        }
    }
}

/// Reads the hand-off once: the file is gone before this returns. `None` before there is one.
pub(crate) fn take(dir: &MachineDir) -> io::Result<Option<RunnerConfig>> {
    // Moved before it is read, so that a newer one that is put meanwhile is not deleted unread.
    let taken = dir.hand_off_dir().join("taken");
    match fs::rename(dir.hand_off_file(), &taken) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        moved => moved?,
    }
    let text = read_small(&taken);
    remove_file(&taken)?;
    let text = text?.unwrap_or_default();
    dir.changed();
    // The parser's own message could quote the content.
    let wire: Wire = serde_json::from_str(&text)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the hand-off file is not what this version writes"))?;
    Ok(Some(wire.config()))
}

/// The hand-off of local machines: `handoff/config.json` in the machine's directory, mode 0600 below 0700.
#[derive(Clone, Debug)]
pub struct LocalHandOff {
    root: PathBuf,
}

impl LocalHandOff {
    /// For machines below the root that [`crate::LocalMachines`] uses.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        machine: &MachineId,
        work: impl FnOnce(&MachineDir) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, HandOffError> {
        let dir = MachineDir::new(&self.root, machine);
        let result = tokio::task::spawn_blocking(move || work(&dir)).await;
        let trouble = match result {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(trouble)) => trouble,
            Err(error) => Trouble::Io(io::Error::other(error)),
        };
        Err(match trouble {
            Trouble::Gone => HandOffError::MachineGone { operation, machine: machine.clone() },
            Trouble::Io(error) => HandOffError::Failed { operation, machine: machine.clone(), source: error.into() },
        })
    }
}

fn waiting(root: &Path) -> io::Result<Vec<(MachineId, Timestamp)>> {
    let mut waiting = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(|name| MachineId::parse(name).ok()) else { continue };
        let file = MachineDir::at(entry.path()).hand_off_file();
        if let Ok(modified) = fs::metadata(file).and_then(|meta| meta.modified()) {
            let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            waiting.push((id, Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))));
        }
    }
    Ok(waiting)
}

enum Trouble {
    Gone,
    Io(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        // The directory goes with the machine, also between our check and our write.
        if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
            Self::Gone
        } else {
            Self::Io(error)
        }
    }
}

#[async_trait]
impl HandOff for LocalHandOff {
    async fn put(
        &self,
        machine: &MachineId,
        _runner: &RunnerName,
        _at: &RunnerScope,
        config: &RunnerConfig,
    ) -> Result<(), HandOffError> {
        let wire = Wire::of(config);
        self.blocking("put", machine, move |dir| {
            if !dir.file("machine.json").is_file() || dir.standing() == Standing::Over || dir.file("terminate").exists()
            {
                return Err(Trouble::Gone);
            }
            remove_file(&dir.hand_off_file())?;
            let bytes = serde_json::to_vec(&wire).map_err(io::Error::other)?;
            write_atomically(&dir.hand_off_file(), &bytes, false)?;
            Ok(())
        })
        .await
    }

    async fn pending(&self, machine: &MachineId) -> Result<bool, HandOffError> {
        self.blocking("pending", machine, |dir| match fs::metadata(dir.hand_off_file()) {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
            Err(error) => Err(Trouble::Io(error)),
        })
        .await
    }

    async fn waiting(&self) -> Result<Vec<(MachineId, Timestamp)>, HandOffError> {
        let root = self.root.clone();
        let listed = tokio::task::spawn_blocking(move || waiting(&root)).await;
        listed.map_err(io::Error::other).flatten().map_err(|error| HandOffError::NotListed { source: error.into() })
    }

    async fn expire(&self, machine: &MachineId) -> Result<(), HandOffError> {
        self.blocking("expire", machine, |dir| Ok(remove_file(&dir.hand_off_file())?)).await
    }
}
