//! Which documents there are, and why one of them may not be able to check.

use std::path::PathBuf;

use serde_json::Value;

use crate::material::NotAvailable;

/// Which server's document. GitHub publishes the three newest server releases only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doc {
    /// GitHub.com without enterprise endpoints.
    ApiGithubCom,
    /// GitHub.com as an enterprise sees it (also ghe.com).
    Ghec,
    /// GitHub Enterprise Server 3.17.
    Ghes317,
    /// GitHub Enterprise Server 3.18.
    Ghes318,
    /// GitHub Enterprise Server 3.19.
    Ghes319,
}

impl Doc {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::ApiGithubCom, Self::Ghec, Self::Ghes317, Self::Ghes318, Self::Ghes319];

    /// The document's name in the package.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApiGithubCom => "api.github.com",
            Self::Ghec => "ghec",
            Self::Ghes317 => "ghes-3.17",
            Self::Ghes318 => "ghes-3.18",
            Self::Ghes319 => "ghes-3.19",
        }
    }
}

/// Why a document cannot check.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The packages are not there.
    #[error(transparent)]
    NotAvailable(#[from] NotAvailable),
    /// A file cannot be read.
    #[error("referees: reading {path} failed")]
    Read {
        /// Which.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file is not JSON.
    #[error("referees: {path} is not JSON")]
    Parse {
        /// Which.
        path: PathBuf,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// The document is not what this crate knows.
    #[error("referees: {document}: {problem}")]
    Shape {
        /// Which.
        document: &'static str,
        /// What is missing, or which overlay found nothing to fix.
        problem: String,
    },
}

pub(crate) fn read_json(path: PathBuf) -> Result<Value, LoadError> {
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(source) => return Err(LoadError::Read { path, source }),
    };
    serde_json::from_slice(&bytes).map_err(|source| LoadError::Parse { path, source })
}
