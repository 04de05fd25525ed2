//! The files that a program may run on with credentials. They have a type of their own that only a comparison makes, so that files that
//! nobody compared cannot be laid out: anybody who may write to the control repository can put any file there, and `terraform init` runs
//! what a configuration names.
//!
//! Trees are those of commits, which nobody can change any more; a branch is only asked which commit it has.

use std::collections::{BTreeMap, BTreeSet};

use runnersmith_issueops::change::Digest;
use runnersmith_issueops::policy::{EnvironmentName, Policy};
use runnersmith_issueops::render::{BACKEND_FILE, Difference, LOCK_FILE, backend};
use serde_json::Value;

use crate::base::{Base, BaseError, Reader, Tree, below};
use crate::seal::Seal;

/// The files that a plan is made from: those of the environment's folder and of modules in the same repository, at one commit
/// each. Nothing else of the repository is there. Where the state is, the policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    environment: String,
    folder: String,
    files: BTreeMap<String, Vec<u8>>,
}

impl Workspace {
    /// The environment.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// Its folder, a path in the files, in which the provisioner works.
    #[must_use]
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// Content by path from the repository's root; no path is absolute or has a part that begins with a dot followed by a dot.
    #[must_use]
    pub fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// A file of the environment's folder, by its name.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&Vec<u8>> {
        self.files.get(&format!("{}/{name}", self.folder))
    }

    /// Files that nobody compared with anything: for tests of provisioners, which have no control repository.
    #[cfg(feature = "contract")]
    #[must_use]
    pub fn unchecked(environment: &str, folder: &str, files: BTreeMap<String, Vec<u8>>) -> Self {
        Self { environment: environment.to_owned(), folder: folder.to_owned(), files }
    }
}

/// Where an environment's state is: what it takes to read it and to release its lock, and nothing of the repository's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateBackend {
    environment: String,
    settings: String,
}

impl StateBackend {
    /// As the policy says it.
    ///
    /// # Errors
    /// Never in practice: when the settings cannot be written as JSON.
    pub fn of(policy: &Policy, environment: &EnvironmentName) -> Result<Self, serde_json::Error> {
        Ok(Self { environment: environment.to_string(), settings: backend(&policy.backend, environment)? })
    }

    /// The environment.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// A Terraform configuration in JSON that has the backend and nothing else.
    #[must_use]
    pub fn settings(&self) -> &str {
        &self.settings
    }

    /// Settings that no policy says: for tests of provisioners, whose states are elsewhere.
    #[cfg(feature = "contract")]
    #[must_use]
    pub fn unchecked(environment: &str, settings: &str) -> Self {
        Self { environment: environment.to_owned(), settings: settings.to_owned() }
    }
}

/// What we brought into an environment's folder ourselves, as the records say it.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// What a request rendered, by git's hash; `None`: nothing was ever rendered, so that nothing is believed.
    pub files: Option<BTreeMap<String, Option<String>>>,
    /// Git's hashes of lock files of provider versions that our plans ended with.
    pub lock_files: BTreeSet<String>,
}

/// Files of an environment's folder at one commit that are what they should be, and not read yet.
pub(crate) struct Compared<'t> {
    tree: &'t Tree,
    paths: Vec<&'t str>,
}

impl<'t> Compared<'t> {
    /// Files that a request rendered, or how the folder differs from them. Words for people may lie there, and another lock file than ours;
    /// both are left out. Without one Terraform takes the newest versions of providers, and we commit those.
    pub(crate) fn with_rendered(tree: &'t Tree, folder: &str, own: &Own) -> Result<Self, Vec<Difference>> {
        let differences = not_rendered(tree, folder, own.files.as_ref());
        if !differences.is_empty() {
            return Err(differences);
        }
        let lock_file = format!("{folder}/{LOCK_FILE}");
        let is_own = |path: &str| match path == lock_file {
            true => tree.get(path).is_some_and(|blob| own.lock_files.contains(&blob.sha)),
            false => own.files.as_ref().is_some_and(|files| files.contains_key(path)),
        };
        Ok(Self { tree, paths: below(tree, folder).filter(|path| is_own(path)).collect() })
    }

    /// Files that an admin ordered a plan of, whatever they are; `None`: these are others, or nobody ordered any.
    pub(crate) fn with_order(tree: &'t Tree, folder: &str, is: Digest, ordered: Option<Digest>) -> Option<Self> {
        (ordered == Some(is)).then(|| Self { tree, paths: below(tree, folder).collect() })
    }

    /// Reads them, with module and zips as the default branch has them, and with the policy's backend.
    pub(crate) async fn read(
        self,
        reader: &Reader,
        base: &Base,
        environment: &EnvironmentName,
    ) -> Result<Workspace, BaseError> {
        let folder = base.policy.environment_folder(environment);
        if self.paths.is_empty() {
            let why = "has no files; hint: the branch was changed by hand".to_owned();
            return Err(BaseError::File { path: folder, why });
        }
        let mut files = reader.contents(&base.tree, "the module", base.shared_files()).await?;
        files.extend(reader.contents(self.tree, &folder, self.paths.into_iter()).await?);
        let path = format!("{folder}/{BACKEND_FILE}");
        let settings = backend(&base.policy.backend, environment)
            .map_err(|error| BaseError::File { path: path.clone(), why: format!("cannot be written: {error}") })?;
        let is_elsewhere = |there: &Vec<u8>| state_of(there) != state_of(settings.as_bytes());
        if files.get(&path).is_some_and(is_elsewhere) {
            let why = "says that the state is somewhere else than the policy says; hint: only the policy says where states are. \
                       After it has changed, ask for the environment again";
            return Err(BaseError::File { path, why: why.to_owned() });
        }
        files.insert(path, settings.into_bytes());
        Ok(Workspace { environment: environment.to_string(), folder, files })
    }
}

/// The digest by which an order names files: those of an environment's folder, and the branch's commit, so that it is of the whole branch.
pub(crate) fn digest_of(seal: &Seal, head: &str, tree: &Tree, folder: &str) -> Digest {
    let mut text = format!("{head}\n");
    for path in below(tree, folder) {
        if let Some(blob) = tree.get(path) {
            // A path can have a line end in it.
            text.push_str(&format!("{} {} {path:?}\n", blob.mode, blob.sha));
        }
    }
    seal.mark(text.as_bytes())
}

/// What says which state it is; how it is locked and encrypted may change. `None`: not to be read.
fn state_of(file: &[u8]) -> Option<[Value; 3]> {
    let file: Value = serde_json::from_slice(file).ok()?;
    let s3 = file.pointer("/terraform/backend/s3")?;
    Some(["bucket", "key", "region"].map(|field| s3[field].clone()))
}

/// Whether Terraform never reads a file of this name, wherever it lies. Of everything else it may: also of a folder
/// (`terraform.d/plugins` has providers).
fn is_harmless(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, end)| end.eq_ignore_ascii_case("md"))
}

/// How a folder differs from what was rendered into it. Words for people (`.md`) may lie there, and Terraform's lock file, which names
/// no program that the configuration does not.
fn not_rendered(tree: &Tree, folder: &str, rendered: Option<&BTreeMap<String, Option<String>>>) -> Vec<Difference> {
    let lock_file = format!("{folder}/{LOCK_FILE}");
    let within = format!("{folder}/");
    let should: BTreeMap<&str, &str> = rendered
        .into_iter()
        .flatten()
        .filter(|(path, _)| path.starts_with(&within))
        .filter_map(|(path, hash)| Some((path.as_str(), hash.as_deref()?)))
        .collect();
    let paths: BTreeSet<&str> = below(tree, folder).chain(should.keys().copied()).collect();
    let differs = |path: &str| {
        let is = tree.get(path);
        match (is, should.get(path)) {
            (None, _) => Some(Difference::Missing(path.to_owned())),
            (Some(blob), Some(hash)) if blob.sha == **hash && blob.mode == "100644" => None,
            (Some(_), Some(_)) => Some(Difference::Changed(path.to_owned())),
            (Some(blob), None) if is_harmless(path) && blob.mode == "100644" => None,
            (Some(_), None) => Some(Difference::Extra(path.to_owned())),
        }
    };
    let is_plain_lock = |path: &str| path == lock_file && tree.get(path).is_none_or(|blob| blob.mode == "100644");
    paths.into_iter().filter(|path| !is_plain_lock(path)).filter_map(differs).collect()
}

#[cfg(test)]
mod tests {
    use runnersmith_ports::control::Blob;

    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let blob = |sha: &str| Blob { sha: sha.to_owned(), mode: "100644".to_owned() };
        files.iter().map(|(path, sha)| ((*path).to_owned(), blob(sha))).collect()
    }

    #[test]
    fn only_what_was_rendered_is_believed_whatever_else_terraform_would_read() {
        let rendered: BTreeMap<String, Option<String>> = [
            ("envs/a/main.tf".to_owned(), Some("1".to_owned())),
            ("envs/a/old.tf".to_owned(), None),
            ("envs/b/main.tf".to_owned(), Some("9".to_owned())),
        ]
        .into();
        let own = [("envs/a/main.tf", "1"), ("envs/a/.terraform.lock.hcl", "x"), ("envs/a/README.md", "x")];
        let all = |more: &[(&str, &str)]| not_rendered(&tree(&[&own[..], more].concat()), "envs/a", Some(&rendered));
        assert_eq!(all(&[("envs/ab/x.tf", "x"), ("x.tf", "x")]), [], "others' folders");
        for path in [
            "x.tf",
            "x.tf.json",
            "x.tofu",
            "x.auto.tfvars",
            "terraform.tfvars",
            "old.tf",
            "terraform.d/plugins/x",
            ".terraform/modules/modules.json",
            "x.tftest.hcl",
        ] {
            let path = format!("envs/a/{path}");
            assert_eq!(all(&[(&path, "x")]), [Difference::Extra(path.clone())]);
        }
        assert_eq!(all(&[("envs/a/main.tf", "2")]), [Difference::Changed("envs/a/main.tf".into())]);
        assert_eq!(not_rendered(&tree(&[]), "envs/a", Some(&rendered)), [Difference::Missing("envs/a/main.tf".into())]);
        assert_eq!(not_rendered(&tree(&own), "envs/a", None), [Difference::Extra("envs/a/main.tf".into())]);
        for link in ["envs/a/x.md", "envs/a/.terraform.lock.hcl"] {
            let mut with_link = tree(&own);
            with_link.insert(link.into(), Blob { sha: "x".into(), mode: "120000".into() });
            assert_eq!(not_rendered(&with_link, "envs/a", Some(&rendered)), [Difference::Extra(link.into())]);
        }
        // What is believed is laid out, and nothing that merely does no harm; a lock file if it is ours.
        let (tree, files) = (tree(&own), Some(rendered));
        let laid_out = |lock_files: &[&str]| {
            let lock_files = lock_files.iter().map(|hash| (*hash).to_owned()).collect();
            let own = Own { files: files.clone(), lock_files };
            Compared::with_rendered(&tree, "envs/a", &own).ok().unwrap().paths
        };
        assert_eq!(laid_out(&["x"]), ["envs/a/.terraform.lock.hcl", "envs/a/main.tf"]);
        assert_eq!(laid_out(&["another"]), ["envs/a/main.tf"]);
    }

    #[test]
    fn a_state_is_known_by_where_it_is_and_not_by_how_it_is_locked() {
        let file = |key: &str, more: &str| {
            format!(r#"{{"terraform":{{"backend":{{"s3":{{"bucket":"b","key":"{key}","region":"r"{more}}}}}}}}}"#)
        };
        let state = |key: &str, more: &str| state_of(file(key, more).as_bytes()).unwrap();
        assert_eq!(state("k", ""), state("k", r#","use_lockfile":true,"encrypt":true"#));
        assert_ne!(state("k", ""), state("l", ""));
        for other in ["", "{}", r#"{"terraform":{"backend":{"local":{"path":"x"}}}}"#] {
            assert_eq!(state_of(other.as_bytes()), None, "{other}");
        }
    }
}
