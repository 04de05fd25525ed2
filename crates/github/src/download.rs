//! A public file, streamed to disk in bounded memory.

use std::path::Path;
use std::time::Duration;

use runnersmith_ports::GitHubError;
use tokio::io::AsyncWriteExt as _;

use crate::client::GitHubClient;

/// About 200 MB: the usual limit of 30 s would be too short.
const TIMEOUT: Duration = Duration::from_secs(900);

pub(crate) enum DownloadError {
    GitHub(GitHubError),
    Disk(std::io::Error),
}

/// Streams a public file to disk. Returns its SHA-256, hexadecimal.
pub(crate) async fn download(client: &GitHubClient, url: &str, to: &Path) -> Result<String, DownloadError> {
    let failed = |error: reqwest::Error| {
        DownloadError::GitHub(GitHubError::Transient {
            operation: "download",
            subject: "the runner distribution".into(),
            source: Box::new(error.without_url()),
        })
    };
    let mut answer = client.transport.get(url, TIMEOUT).await.map_err(failed)?;
    let mut file = tokio::fs::File::create(to).await.map_err(DownloadError::Disk)?;
    let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        digest.update(&chunk);
        file.write_all(&chunk).await.map_err(DownloadError::Disk)?;
    }
    // The last write is still under way, and `sync_all` alone would not say that it failed.
    file.flush().await.map_err(DownloadError::Disk)?;
    file.sync_all().await.map_err(DownloadError::Disk)?;
    Ok(hex::encode(digest.finish()))
}
