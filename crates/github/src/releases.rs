//! The newest release of `actions/runner`: found, fetched in bounded memory, verified, and put in place only when whole.

use std::path::{Path, PathBuf};

use runnersmith_ports::{GitHubError, chain};
use runnersmith_types::{RunnerVersion, Timestamp};
use serde::Deserialize;
use tokio::fs;

use crate::access::As;
use crate::client::GitHubClient;
use crate::download::{DownloadError, download};
use crate::operations as op;
use crate::wire::timestamp;

/// This machine's platform, as the names of the runner's archives have it.
pub const PLATFORM: &str = if cfg!(target_arch = "aarch64") { "linux-arm64" } else { "linux-x64" };
/// So many archives stay in a directory into which they are fetched: the newest, and the one before it, from which a machine may be
/// starting.
const ARCHIVES_KEPT: usize = 2;

/// Why a release could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// GitHub.
    #[error("find the newest release")]
    GitHub(#[from] GitHubError),
    /// No archive for this machine.
    #[error("release {version} has no archive {name}")]
    NoAsset {
        /// The release.
        version: String,
        /// The archive.
        name: String,
    },
    /// Not what GitHub says it is: the old one stays.
    #[error("the archive of release {version} does not have the checksum that GitHub gives")]
    Checksum {
        /// The release.
        version: String,
    },
    /// GitHub gives no checksum: nothing unverified is used.
    #[error("release {version} gives no checksum for {name}")]
    NoChecksum {
        /// The release.
        version: String,
        /// The archive.
        name: String,
    },
    /// The disk.
    #[error("write {}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

#[derive(Debug, Deserialize)]
struct Asset {
    name: String,
    browser_download_url: String,
    digest: Option<String>,
}

/// Fetches the newest release for this machine into a directory, unless it is there already. Returns the archive's path. While GitHub
/// does not give it, the newest that is in the directory is used: a server that starts in an outage must take deliveries.
///
/// # Errors
/// When it cannot be found, fetched, verified or written; what was there before stays.
pub async fn fetch_runner(client: &GitHubClient, prerelease: bool, directory: &Path) -> Result<PathBuf, ReleaseError> {
    let fetched = match newest(client, prerelease).await {
        Ok(release) => fetch_release(client, &release, directory).await,
        Err(error) => Err(error),
    };
    let Err(ReleaseError::GitHub(error)) = fetched else { return fetched };
    let Some((_, there)) = archives_in(directory).await.pop() else { return Err(error.into()) };
    let archive = there.display();
    tracing::warn!(error = %chain(&error), %archive, "the newest runner cannot be fetched; the newest that is here is used");
    Ok(there)
}

/// Fetches a release for this machine into a directory, unless it is there already, and removes archives there that are much older, and
/// newer ones: a release that was withdrawn, or a prerelease that is not wanted any more. Who takes the newest of the directory takes this
/// one then. Returns the archive's path.
///
/// # Errors
/// When it cannot be fetched, verified or written; what was there before stays.
pub async fn fetch_release(
    client: &GitHubClient,
    release: &RunnerRelease,
    directory: &Path,
) -> Result<PathBuf, ReleaseError> {
    let archive = release.archive(PLATFORM)?.fetch(client, directory).await?;
    let mut others = archives_in(directory).await;
    let newer = others.iter().position(|(_, path)| *path == archive).map_or(others.len(), |index| index + 1);
    let mut unwanted = others.split_off(newer);
    others.truncate(others.len().saturating_sub(ARCHIVES_KEPT));
    unwanted.extend(others);
    for (_, path) in unwanted.into_iter().filter(|(_, path)| *path != archive) {
        if let Err(error) = fs::remove_file(&path).await {
            tracing::warn!(%error, archive = %path.display(), "an archive of the runner cannot be removed");
        }
    }
    Ok(archive)
}

/// The runner's archives for this machine in a directory, the newest last; only whole and verified ones have such a name.
pub async fn archives_in(directory: &Path) -> Vec<(RunnerVersion, PathBuf)> {
    let mut archives = Vec::new();
    let Ok(mut entries) = fs::read_dir(directory).await else { return archives };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let version = RunnerVersion::of_archive(&entry.file_name().to_string_lossy(), PLATFORM);
        archives.extend(version.map(|version| (version, entry.path())));
    }
    archives.sort();
    archives
}

/// A release of `actions/runner`.
#[derive(Debug, Deserialize)]
pub struct RunnerRelease {
    tag_name: String,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    draft: bool,
    #[serde(default)]
    published_at: Option<String>,
    assets: Vec<Asset>,
}

/// One archive of a release, with the checksum that GitHub gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The release's version (`2.330.0`).
    pub version: String,
    /// The archive's file name.
    pub name: String,
    /// SHA-256, hexadecimal.
    pub sha256: String,
    url: String,
}

/// The newest release, or the newest of all with prereleases.
///
/// # Errors
/// When GitHub does not answer.
pub async fn newest(client: &GitHubClient, prerelease: bool) -> Result<RunnerRelease, ReleaseError> {
    if !prerelease {
        let path = "/repos/actions/runner/releases/latest";
        return Ok(client.call(op::RELEASE_LATEST, As::Nobody, path, "actions/runner", None).await?);
    }
    let path = "/repos/actions/runner/releases?per_page=10";
    let all: Vec<RunnerRelease> = client.call(op::RELEASES, As::Nobody, path, "actions/runner", None).await?;
    let newest = all.into_iter().find(|release| !release.draft);
    let none = || GitHubError::NotFound { operation: op::RELEASES.id, subject: "actions/runner".into() };
    Ok(newest.ok_or_else(none)?)
}

impl RunnerRelease {
    /// Its version; nothing for one that has no place in their order.
    #[must_use]
    pub fn version(&self) -> Option<RunnerVersion> {
        RunnerVersion::parse(&self.tag_name)
    }

    /// When it was published.
    #[must_use]
    pub fn published_at(&self) -> Option<Timestamp> {
        timestamp(self.published_at.as_deref())
    }

    /// Its archive for a platform (`linux-x64`, `linux-arm64`).
    ///
    /// # Errors
    /// When it is missing, or could not be verified.
    pub fn archive(&self, platform: &str) -> Result<Archive, ReleaseError> {
        let version = self.tag_name.trim_start_matches('v').to_owned();
        let name = format!("actions-runner-{platform}-{version}.tar.gz");
        let safe = version.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-');
        let asset = self.assets.iter().find(|asset| safe && asset.name == name);
        let Some(asset) = asset else { return Err(ReleaseError::NoAsset { version, name }) };
        let sum = asset.digest.as_deref().and_then(|digest| digest.strip_prefix("sha256:")).map(str::to_owned);
        let Some(sha256) = sum.or_else(|| from_notes(self.body.as_deref().unwrap_or_default(), platform)) else {
            return Err(ReleaseError::NoChecksum { version, name });
        };
        Ok(Archive { version, name, sha256, url: asset.browser_download_url.clone() })
    }
}

impl Archive {
    /// Fetches it into a directory in bounded memory, unless it is there already. Returns its path.
    ///
    /// # Errors
    /// When it cannot be fetched, verified or written; what was there before stays.
    pub async fn fetch(&self, client: &GitHubClient, directory: &Path) -> Result<PathBuf, ReleaseError> {
        let target = directory.join(&self.name);
        let disk = |source: std::io::Error| ReleaseError::Disk { path: target.clone(), source };
        if fs::try_exists(&target).await.map_err(disk)? {
            return Ok(target);
        }
        fs::create_dir_all(directory).await.map_err(disk)?;
        let part = directory.join(format!("{}.part", self.name));
        let found = download(client, &self.url, &part).await.map_err(|error| match error {
            DownloadError::GitHub(error) => ReleaseError::GitHub(error),
            DownloadError::Disk(source) => ReleaseError::Disk { path: part.clone(), source },
        })?;
        if !found.eq_ignore_ascii_case(&self.sha256) {
            // A broken download is of no use, and its removal is best effort.
            let _ = fs::remove_file(&part).await;
            return Err(ReleaseError::Checksum { version: self.version.clone() });
        }
        fs::rename(&part, &target).await.map_err(disk)?;
        Ok(target)
    }
}

/// The checksum in the release's notes: `<!-- BEGIN SHA linux-x64 -->…<!-- END SHA linux-x64 -->`.
fn from_notes(notes: &str, platform: &str) -> Option<String> {
    let (_, rest) = notes.split_once(&format!("<!-- BEGIN SHA {platform} -->"))?;
    let (sum, _) = rest.split_once("<!--")?;
    Some(sum.trim().to_owned()).filter(|sum| sum.len() == 64)
}
