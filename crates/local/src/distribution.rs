//! The runner distribution: found, extracted once, and copied for each machine.
//!
//! It may be a directory into which newer archives are fetched while machines are launched: each launch takes the newest, and what is
//! extracted from older ones is removed when no machine uses it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use ring::digest::{Context, SHA256};
use runnersmith_types::RunnerVersion;

use crate::dir::remove_tree;

/// The most bytes that an archive may hold when extracted: the real one has about 700 MB.
const EXTRACTED_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// The deepest directory that is copied.
const DEPTH_MAX: usize = 40;
/// So long after the newest was extracted a launch that is under way takes no older one any more.
pub(crate) const SUPERSEDED_FOR: Duration = Duration::from_secs(3_600);
/// This machine's platform, as the names of archives have it.
const PLATFORM: &str = if cfg!(target_arch = "aarch64") { "linux-arm64" } else { "linux-x64" };

/// Where the distribution comes from.
#[derive(Debug)]
pub(crate) struct Distribution {
    source: PathBuf,
    cache: PathBuf,
    known: Mutex<Option<Extracted>>,
}

/// What was extracted last.
#[derive(Debug)]
struct Extracted {
    /// The archive, its size and its modification time.
    of: (PathBuf, u64, Option<SystemTime>),
    /// Where it lies.
    directory: PathBuf,
}

impl Distribution {
    pub fn new(source: PathBuf, root: &Path) -> Self {
        Self { source, cache: root.join(".cache"), known: Mutex::new(None) }
    }

    /// The directory that holds `run.sh`.
    ///
    /// # Errors
    /// When it is missing, or the archive cannot be read or extracted.
    pub fn directory(&self) -> io::Result<PathBuf> {
        let directory = match newest_archive(&self.source)? {
            Some(archive) => self.extracted(archive)?,
            None if fs::metadata(&self.source)?.is_dir() => self.source.clone(),
            None => self.extracted(self.source.clone())?,
        };
        if directory.join("run.sh").is_file() {
            directory.canonicalize()
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "it holds no run.sh"))
        }
    }

    fn extracted(&self, archive: PathBuf) -> io::Result<PathBuf> {
        let meta = fs::metadata(&archive)?;
        let of = (archive, meta.len(), meta.modified().ok());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(|known| known.of == of && known.directory.is_dir()) {
            return Ok(known.directory.clone());
        }
        let directory = self.cache.join(sha256(&of.0)?);
        if !directory.is_dir() {
            fs::create_dir_all(&self.cache)?;
            let temporary = self.cache.join(format!(".{}", std::process::id()));
            remove_tree(&temporary)?;
            let result = extract(&of.0, &temporary).and_then(|()| fs::rename(&temporary, &directory));
            let _ = remove_tree(&temporary);
            // Another process may have put the same content there first.
            if !directory.is_dir() {
                result?;
            }
        }
        *known = Some(Extracted { of, directory: directory.clone() });
        Ok(directory)
    }

    /// Removes what was extracted from archives that are not the newest any more, unless a machine uses it, once the newest has been
    /// extracted for `superseded_for`.
    pub fn forget_unused(&self, used: &BTreeSet<PathBuf>, superseded_for: Duration) {
        let current = match &*self.known.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(known) => known.directory.clone(),
            None => return,
        };
        let is_old = |directory: &Path| {
            let at = fs::metadata(directory).and_then(|meta| meta.created().or_else(|_| meta.modified()));
            at.is_ok_and(|at| at.elapsed().is_ok_and(|age| age >= superseded_for))
        };
        if !is_old(&current) {
            return;
        }
        let is_used = |directory: &Path| {
            *directory == current || directory.canonicalize().map_or(true, |directory| used.contains(&directory))
        };
        for directory in fs::read_dir(&self.cache).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())) {
            if !is_used(&directory)
                && is_old(&directory)
                && let Err(error) = remove_tree(&directory)
            {
                tracing::warn!(directory = %directory.display(), %error, "an old runner distribution cannot be removed");
            }
        }
    }
}

/// The newest archive in a directory that holds archives and no distribution.
fn newest_archive(directory: &Path) -> io::Result<Option<PathBuf>> {
    if !fs::metadata(directory)?.is_dir() || directory.join("run.sh").is_file() {
        return Ok(None);
    }
    let mut newest = None;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let version = RunnerVersion::of_archive(&entry.file_name().to_string_lossy(), PLATFORM);
        newest = newest.max(version.map(|version| (version, entry.path())));
    }
    Ok(newest.map(|(_, path)| path))
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0_u8; 64 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex::encode(context.finish()));
        }
        context.update(&buffer[..read]);
    }
}

fn extract(archive: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let bytes = flate2::read::GzDecoder::new(File::open(archive)?).take(EXTRACTED_BYTES_MAX);
    let mut archive = tar::Archive::new(bytes);
    archive.set_preserve_permissions(true);
    archive.set_overwrite(false);
    archive.unpack(to)
}

/// Copies a tree: files (sharing blocks where the file system can), directories and symbolic links, with their modes. `stop` is
/// asked before each entry.
///
/// # Errors
/// `Interrupted` when asked to stop; else what the file system says.
pub(crate) fn copy_tree(from: &Path, to: &Path, stop: &dyn Fn() -> bool) -> io::Result<()> {
    copy_level(from, to, stop, DEPTH_MAX)
}

fn copy_level(from: &Path, to: &Path, stop: &dyn Fn() -> bool, depth: usize) -> io::Result<()> {
    if depth == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the distribution is nested too deeply"));
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        if stop() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "asked to end"));
        }
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_level(&entry.path(), &target, stop, depth - 1)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails panics")]
mod tests {
    use super::*;

    /// An archive that holds `run.sh` with this text.
    fn pack(archive: &Path, text: &str) {
        let file = File::create(archive).unwrap();
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o755);
        tar.append_data(&mut header, "run.sh", text.as_bytes()).unwrap();
        tar.into_inner().unwrap().finish().unwrap();
    }

    #[test]
    fn what_was_extracted_before_stays_while_a_machine_uses_it_and_goes_then() {
        let home = tempfile::tempdir().unwrap();
        let archives = home.path().join("archives");
        fs::create_dir(&archives).unwrap();
        let distribution = Distribution::new(archives.clone(), home.path());
        let extracted = |version: &str| {
            pack(&archives.join(format!("actions-runner-{PLATFORM}-{version}.tar.gz")), version);
            distribution.directory().unwrap()
        };
        let (old, new) = (extracted("2.99.0"), extracted("2.330.0"));
        distribution.forget_unused(&BTreeSet::new(), SUPERSEDED_FOR);
        assert!(old.is_dir(), "a launch may be under way that takes it");
        distribution.forget_unused(&BTreeSet::from([old.clone()]), Duration::ZERO);
        assert!(old.is_dir() && new.is_dir(), "a machine uses it");
        distribution.forget_unused(&BTreeSet::new(), Duration::ZERO);
        assert!(!old.exists() && new.is_dir(), "the newest stays though no machine uses it");
    }
}
