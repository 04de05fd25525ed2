//! The default branch as it is now: the platform policy, the environments, and what a plan reads of them.
//!
//! Nothing that a request or a branch brings is believed before it was compared with this.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use runnersmith_issueops::change::Digest;
use runnersmith_issueops::policy::{self, EnvironmentName, Policy, PolicyError};
use runnersmith_issueops::render::{RenderedFiles, VALUES_FILE};
use runnersmith_issueops::summary::EnvironmentFleet;
use runnersmith_ports::control::Blob;
use runnersmith_ports::{ControlRepository, GitHubError};

/// The most files of a workspace, and their bytes: what a module has, many times over.
pub const FILES_MAX: usize = 2_000;
/// The most bytes of them.
pub const BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most bytes of contents that are kept between looks: what the largest workspace has, so that checking a plan again asks
/// GitHub for nothing that planning it has read.
const KEPT_BYTES_MAX: usize = BYTES_MAX + FILES_MAX * ENTRY_BYTES;
/// What a content takes beside its bytes: its hash, and its place in the map.
const ENTRY_BYTES: usize = 256;

/// Why the default branch cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// GitHub.
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    /// There is no branch.
    #[error("{repository} has no branch {branch}")]
    NoBranch {
        /// The control repository.
        repository: String,
        /// Its default branch.
        branch: String,
    },
    /// There is no policy.
    #[error("{repository} has no {file} on its default branch; hint: `runnersmith init` lays one out")]
    NoPolicy {
        /// The control repository.
        repository: String,
        /// Where it is looked for.
        file: &'static str,
    },
    /// The policy cannot be used.
    #[error("the platform policy of {repository} cannot be used")]
    Policy {
        /// The control repository.
        repository: String,
        /// Why.
        #[source]
        source: PolicyError,
    },
    /// A file is not what it should be.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: String,
        /// Why.
        why: String,
    },
}

/// Files of a commit.
pub type Tree = BTreeMap<String, Blob>;

/// Reads files of the control repository, each content once.
#[derive(Clone)]
pub struct Reader {
    control: Arc<dyn ControlRepository>,
    kept: Arc<Mutex<Kept>>,
}

/// Contents by hash, at most so many bytes of them.
#[derive(Default)]
struct Kept {
    contents: BTreeMap<String, Arc<Vec<u8>>>,
    bytes: usize,
}

impl Kept {
    /// Keeps a content. When it does not fit, everything else goes: what is needed is soon read again. One that is too large by
    /// itself is not kept.
    fn keep(&mut self, sha: &str, content: &Arc<Vec<u8>>) {
        let size = content.len().saturating_add(ENTRY_BYTES);
        if size > KEPT_BYTES_MAX || self.contents.contains_key(sha) {
            return;
        }
        if self.bytes + size > KEPT_BYTES_MAX {
            *self = Self::default();
        }
        self.bytes += size;
        self.contents.insert(sha.to_owned(), content.clone());
    }
}

impl Reader {
    /// A reader.
    #[must_use]
    pub fn new(control: Arc<dyn ControlRepository>) -> Self {
        Self { control, kept: Arc::default() }
    }

    /// A content by its hash.
    ///
    /// # Errors
    /// When GitHub does not give it.
    pub async fn blob(&self, sha: &str) -> Result<Arc<Vec<u8>>, GitHubError> {
        let known = self.kept.lock().unwrap_or_else(PoisonError::into_inner).contents.get(sha).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let content = Arc::new(self.control.blob(sha).await?);
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).keep(sha, &content);
        Ok(content)
    }

    /// A text file of a tree; `None` when it is not there.
    ///
    /// # Errors
    /// When GitHub does not give it, or it is no text.
    pub async fn text(&self, tree: &Tree, path: &str) -> Result<Option<String>, BaseError> {
        let Some(blob) = tree.get(path) else { return Ok(None) };
        let content = self.blob(&blob.sha).await?;
        let text = String::from_utf8(content.as_ref().clone())
            .map_err(|_| BaseError::File { path: path.to_owned(), why: "is not UTF-8".into() })?;
        Ok(Some(text))
    }

    /// All text files below a folder, by path.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub async fn folder(&self, tree: &Tree, folder: &str) -> Result<RenderedFiles, BaseError> {
        let mut files = RenderedFiles::new();
        for path in below(tree, folder) {
            if let Some(text) = self.text(tree, path).await? {
                files.insert(path.to_owned(), text);
            }
        }
        Ok(files)
    }

    /// Content of files of a folder, by path; for a workspace, so neither links nor too much.
    ///
    /// # Errors
    /// When GitHub does not give one, one is a link, or there are too many.
    pub async fn contents(
        &self,
        tree: &Tree,
        folder: &str,
        paths: impl Iterator<Item = &str> + Send,
    ) -> Result<BTreeMap<String, Vec<u8>>, BaseError> {
        let refused = |path: &str, why: String| BaseError::File { path: path.to_owned(), why };
        let paths: Vec<&str> = paths.collect();
        if paths.len() > FILES_MAX {
            return Err(refused(folder, format!("has {} files, {FILES_MAX} are read", paths.len())));
        }
        let (mut files, mut bytes) = (BTreeMap::new(), 0);
        for path in paths {
            let Some(blob) = tree.get(path) else { continue };
            if !matches!(blob.mode.as_str(), "100644" | "100755") {
                return Err(refused(path, "is a link or a submodule, and such are not planned".into()));
            }
            let content = self.blob(&blob.sha).await?;
            bytes += content.len();
            if bytes > BYTES_MAX {
                return Err(refused(folder, format!("has more than {BYTES_MAX} bytes")));
            }
            files.insert(path.to_owned(), content.as_ref().clone());
        }
        Ok(files)
    }
}

/// Paths of files below a folder.
pub fn below<'a>(tree: &'a Tree, folder: &str) -> impl Iterator<Item = &'a str> {
    let prefix = format!("{folder}/");
    tree.keys().map(String::as_str).filter(move |path| path.starts_with(&prefix))
}

/// The hash that git gives a content.
#[must_use]
pub fn git_blob(content: &[u8]) -> String {
    let mut bytes = format!("blob {}\0", content.len()).into_bytes();
    bytes.extend_from_slice(content);
    hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &bytes))
}

/// The default branch as it was read.
#[derive(Clone)]
pub struct Base {
    /// Its name.
    pub branch: String,
    /// Its commit.
    pub commit: String,
    /// Its files.
    pub tree: Tree,
    /// The platform policy.
    pub policy: Policy,
}

impl Base {
    /// Reads it.
    ///
    /// # Errors
    /// When GitHub does not give it, or the policy is missing or cannot be used.
    pub async fn read(control: &dyn ControlRepository, reader: &Reader) -> Result<Self, BaseError> {
        let repository = control.name();
        let branch = control.default_branch().await?;
        let Some(commit) = control.branch(&branch).await? else {
            return Err(BaseError::NoBranch { repository, branch });
        };
        let tree = control.tree(&commit).await?;
        let Some(text) = reader.text(&tree, policy::FILE).await? else {
            return Err(BaseError::NoPolicy { repository, file: policy::FILE });
        };
        let policy = match Policy::parse(&text) {
            Ok(policy) => policy,
            Err(source) => return Err(BaseError::Policy { repository, source }),
        };
        if policy.fetches_module_from(&repository) {
            return Err(BaseError::File { path: policy::FILE.to_owned(), why: policy::FETCHES_ITSELF.to_owned() });
        }
        Ok(Self { branch, commit, tree, policy })
    }

    /// Environments that are there, in their spelling.
    pub fn environments(&self) -> impl Iterator<Item = EnvironmentName> {
        let prefix = format!("{}/", self.policy.folder);
        let named = |path: &String| path.strip_prefix(&prefix)?.split_once('/').map(|(name, _)| name.to_owned());
        let names: BTreeSet<String> = self.tree.keys().filter_map(named).collect();
        names.into_iter().filter_map(|name| EnvironmentName::parse(&name).ok())
    }

    /// Environments with what their values say; a file that cannot be read says nothing.
    ///
    /// # Errors
    /// When GitHub does not give a values file.
    pub async fn fleets(&self, reader: &Reader) -> Result<BTreeMap<String, Option<EnvironmentFleet>>, BaseError> {
        let mut found = BTreeMap::new();
        for environment in self.environments() {
            let values = self.values(reader, &environment).await?;
            found.insert(environment.to_string(), values.and_then(|text| EnvironmentFleet::of_values(&text).ok()));
        }
        Ok(found)
    }

    /// An environment's values file.
    ///
    /// # Errors
    /// When GitHub does not give it.
    pub async fn values(&self, reader: &Reader, environment: &EnvironmentName) -> Result<Option<String>, BaseError> {
        reader.text(&self.tree, &format!("{}/{VALUES_FILE}", self.policy.environment_folder(environment))).await
    }

    /// Files that plans of all environments read from here and from no branch: the module and the functions' zips, as far as the policy
    /// names some of this repository.
    pub fn shared_files(&self) -> impl Iterator<Item = &str> {
        let module = self.policy.module_folder().map(|folder| format!("{folder}/"));
        let zips: BTreeSet<String> = self.policy.zip_files().collect();
        let is_shared =
            move |path: &str| zips.contains(path) || module.as_ref().is_some_and(|module| path.starts_with(module));
        self.tree.keys().map(String::as_str).filter(move |path| is_shared(path))
    }

    /// The hash of what a plan of this environment reads here: policy, module, zips, and the environment as it is. What changes
    /// elsewhere on the branch is no obstacle.
    #[must_use]
    pub fn digest(&self, environment: &EnvironmentName) -> Digest {
        let folder = self.policy.environment_folder(environment);
        let shared: BTreeSet<&str> = self.shared_files().collect();
        let mut text = String::new();
        for (path, blob) in &self.tree {
            let is_own = path == policy::FILE || path.starts_with(&format!("{folder}/"));
            if is_own || shared.contains(path.as_str()) {
                text.push_str(&format!("{} {} {path}\n", blob.mode, blob.sha));
            }
        }
        Digest::of(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_kept_up_to_a_number_of_bytes_and_not_of_files() {
        let mut kept = Kept::default();
        let quarter = Arc::new(vec![0; KEPT_BYTES_MAX / 4 - ENTRY_BYTES]);
        for n in 0..4 {
            kept.keep(&n.to_string(), &quarter);
            kept.keep(&n.to_string(), &quarter);
        }
        assert_eq!((kept.contents.len(), kept.bytes), (4, KEPT_BYTES_MAX), "one that is there counts once");
        kept.keep("4", &quarter);
        assert_eq!((kept.contents.len(), kept.bytes), (1, KEPT_BYTES_MAX / 4));
        kept.keep("large", &Arc::new(vec![0; KEPT_BYTES_MAX]));
        assert!(kept.contents.contains_key("4") && !kept.contents.contains_key("large"));
        for n in 5..10_000 {
            kept.keep(&n.to_string(), &Arc::new(Vec::new()));
        }
        assert_eq!(kept.contents.len(), 9_996);
        assert!(kept.bytes <= KEPT_BYTES_MAX);
    }

    #[test]
    fn a_content_has_the_hash_that_git_gives_it() {
        // `printf 'hello\n' | git hash-object --stdin`
        assert_eq!(super::git_blob(b"hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
    }
}
