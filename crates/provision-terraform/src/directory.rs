//! The directory of one run: fresh, its owner's alone, and gone afterwards. Plan files hold secrets.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use runnersmith_issueops_engine::ProvisionError;

use crate::plan_file::LOCK_FILE;

/// How the names of such directories begin.
const PREFIX: &str = "tf-";
/// A directory that is older was left by a process that was killed; no run takes as long.
const LEFT_AFTER: Duration = Duration::from_secs(24 * 3600);

/// A laid-out workspace; removed when it is dropped.
pub(crate) struct Directory {
    root: tempfile::TempDir,
    folder: String,
}

fn unable(what: &str, path: &Path, error: &std::io::Error) -> ProvisionError {
    ProvisionError::Unable(format!("{what} {}: {error}", path.display()))
}

/// Whether this is a path below a root, written in the one way that leaves nothing to interpretation.
fn is_plain(path: &str) -> bool {
    !path.contains('\0') && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

impl Directory {
    /// Lays files out below `scratch`, which is made when it is not there.
    pub(crate) fn lay(scratch: &Path, folder: &str, files: &BTreeMap<String, Vec<u8>>) -> Result<Self, ProvisionError> {
        for path in files.keys().map(String::as_str).chain((!folder.is_empty()).then_some(folder)) {
            if !is_plain(path) {
                return Err(ProvisionError::Unable(format!("{path:?} is not a path below the repository's root")));
            }
        }
        make_private(scratch)?;
        let root = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(scratch)
            .map_err(|error| unable("cannot make a directory in", scratch, &error))?;
        let directory = Self { root, folder: folder.to_owned() };
        make_private(&directory.work())?;
        for (path, content) in files {
            let path = directory.files().join(path);
            if let Some(parent) = path.parent() {
                make_private(parent)?;
            }
            write_private(&path, content)?;
        }
        Ok(directory)
    }

    fn files(&self) -> PathBuf {
        self.root.path().join("files")
    }

    /// The root of everything.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Where Terraform works.
    pub(crate) fn work(&self) -> PathBuf {
        if self.folder.is_empty() { self.files() } else { self.files().join(&self.folder) }
    }

    /// Where Terraform keeps what it keeps.
    pub(crate) fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// The plan file.
    pub(crate) fn plan(&self) -> PathBuf {
        self.root.path().join("plan")
    }

    /// Where Terraform saves a state that it could not store.
    pub(crate) fn errored_state(&self) -> PathBuf {
        self.work().join("errored.tfstate")
    }

    /// The lock file of provider versions.
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.work().join(LOCK_FILE)
    }

    /// Removes everything now, and says so when it cannot.
    pub(crate) fn remove(self) {
        let path = self.root.path().to_owned();
        if let Err(error) = self.root.close() {
            tracing::warn!(path = %path.display(), %error, "cannot remove a directory of a plan; it can hold secrets");
        }
    }
}

/// Makes a directory and those above it, for the owner alone.
fn make_private(path: &Path) -> Result<(), ProvisionError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| unable("cannot make the directory", path, &error))?;
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        // Somebody else decides where a link leads.
        Ok(_) => Err(ProvisionError::Unable(format!("{} is not a directory but a link", path.display()))),
        Err(error) => Err(unable("cannot look at", path, &error)),
    }
}

/// Writes a new file that its owner alone can read; what is there already, link or file, is refused.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), ProvisionError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(content)).map_err(|error| unable("cannot write", path, &error))
}

/// Removes what processes left that were killed a day ago or earlier.
pub(crate) fn sweep(scratch: &Path) {
    for entry in std::fs::read_dir(scratch).into_iter().flatten().flatten() {
        let old = entry
            .metadata()
            .ok()
            .filter(std::fs::Metadata::is_dir)
            .and_then(|found| found.modified().ok()?.elapsed().ok())
            .is_some_and(|age| age > LEFT_AFTER);
        if old && entry.file_name().to_string_lossy().starts_with(PREFIX) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails panics")]

    use super::*;

    fn files(paths: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        paths.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused_before_anything_is_written() {
        let scratch = tempfile::tempdir().unwrap();
        for path in ["/etc/x", "../x", "a/../../x", "a//b", "./a", "a/.", "a\0b", ""] {
            assert!(Directory::lay(scratch.path(), "", &files(&[(path, "")])).is_err(), "{path:?}");
        }
        for folder in ["/etc", "..", "a/..", "a\0"] {
            assert!(Directory::lay(scratch.path(), folder, &files(&[("a/b", "")])).is_err(), "{folder:?}");
        }
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_scratch_that_is_a_link_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let link = place.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(Directory::lay(&link, "", &files(&[("a", "")])).is_err());
    }

    #[test]
    fn everything_is_its_owners_alone_and_goes_with_its_value() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = Directory::lay(scratch.path(), "a/b", &files(&[("a/b/c.tf", "x"), ("m/d.tf", "y")])).unwrap();
        let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(directory.root().to_owned()), 0o700);
        assert_eq!(mode(directory.work()), 0o700);
        assert_eq!(mode(directory.work().join("c.tf")), 0o600);
        directory.remove();
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_where_a_directory_is_needed_is_an_error() {
        let scratch = tempfile::tempdir().unwrap();
        assert!(Directory::lay(scratch.path(), "", &files(&[("a", ""), ("a/b", "")])).is_err());
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}
