//! The runner distribution: found, extracted once, and copied for each machine.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use ring::digest::{Context, SHA256};

use crate::dir::remove_tree;

/// The most bytes that an archive may hold when extracted: the real one has about 700 MB.
const EXTRACTED_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// The deepest directory that is copied.
const DEPTH_MAX: usize = 40;

/// Where the distribution comes from.
#[derive(Debug)]
pub(crate) struct Distribution {
    source: PathBuf,
    cache: PathBuf,
    /// The extracted directory of an archive of this size and modification time.
    known: Mutex<Option<(u64, Option<SystemTime>, PathBuf)>>,
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
        let meta = fs::metadata(&self.source)?;
        let directory =
            if meta.is_dir() { self.source.clone() } else { self.extracted(meta.len(), meta.modified().ok())? };
        if directory.join("run.sh").is_file() {
            directory.canonicalize()
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "it holds no run.sh"))
        }
    }

    fn extracted(&self, len: u64, modified: Option<SystemTime>) -> io::Result<PathBuf> {
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((of_len, of_time, directory)) = &*known
            && (*of_len, *of_time) == (len, modified)
            && directory.is_dir()
        {
            return Ok(directory.clone());
        }
        let directory = self.cache.join(sha256(&self.source)?);
        if !directory.is_dir() {
            fs::create_dir_all(&self.cache)?;
            let temporary = self.cache.join(format!(".{}", std::process::id()));
            remove_tree(&temporary)?;
            let result = extract(&self.source, &temporary).and_then(|()| fs::rename(&temporary, &directory));
            let _ = remove_tree(&temporary);
            // Another process may have put the same content there first.
            if !directory.is_dir() {
                result?;
            }
        }
        *known = Some((len, modified, directory.clone()));
        Ok(directory)
    }
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
