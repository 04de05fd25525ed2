//! What of the default branch is planned with credentials: of an environment's folder only what a request rendered.
//!
//! A plan runs what its files name. Anybody who may write can merge a pull request of their own where no approval is required, so what
//! lies on the default branch is not believed for lying there: the records say what was rendered, and they are beside the state.

use std::collections::{BTreeMap, BTreeSet};

use runnersmith_issueops::change::{ChangeKind, State};
use runnersmith_issueops::policy::EnvironmentName;
use runnersmith_issueops::render::{Difference, LOCK_FILE};

use crate::base::{Tree, below};
use crate::context::{ChangeReconciler, Work, environment_of};
use crate::error::ReconcileError;
use crate::record::Record;

/// Whether Terraform never reads a file of this name, wherever it lies. Of everything else it may: also of a folder
/// (`terraform.d/plugins` has providers).
fn is_harmless(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, end)| end.eq_ignore_ascii_case("md"))
}

/// How a folder differs from what was rendered into it; `None`: nothing was ever rendered, so that nothing in it is believed. Words for
/// people (`.md`) may lie there, and Terraform's lock file, which names no program that the configuration does not.
pub(crate) fn not_rendered(
    tree: &Tree,
    folder: &str,
    rendered: Option<&BTreeMap<String, Option<String>>>,
) -> Vec<Difference> {
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
    paths.into_iter().filter(|path| *path != lock_file).filter_map(differs).collect()
}

impl ChangeReconciler {
    /// How the folder of the default branch differs from what the last change that is done rendered.
    pub(crate) async fn strange_on_default_branch(
        &self,
        work: &Work,
        environment: &EnvironmentName,
    ) -> Result<Vec<Difference>, ReconcileError> {
        let last = self.change_store.last_done(environment.as_str()).await?;
        let rendered = last.filter(|last| last.change.state == State::Done && last.change.kind == ChangeKind::Set);
        let folder = work.base.policy.environment_folder(environment);
        Ok(not_rendered(&work.base.tree, &folder, rendered.and_then(|last| last.files).as_ref()))
    }

    /// What would be planned of a change and was not rendered by a request: in its branch's folder, which is the default branch's but for
    /// what the request renders; a deletion works on the folder of the default branch.
    pub(crate) async fn strange_in_plan(
        &self,
        work: &Work,
        record: &Record,
    ) -> Result<Vec<Difference>, ReconcileError> {
        let environment = environment_of(record)?;
        match record.change.kind {
            ChangeKind::Set => {
                let tree = self.parts.control.tree(&record.head).await?;
                let folder = work.base.policy.environment_folder(&environment);
                Ok(not_rendered(&tree, &folder, record.files.as_ref()))
            }
            ChangeKind::Delete => self.strange_on_default_branch(work, &environment).await,
        }
    }
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
        let mut link = tree(&own);
        link.insert("envs/a/x.md".into(), Blob { sha: "x".into(), mode: "120000".into() });
        assert_eq!(not_rendered(&link, "envs/a", Some(&rendered)), [Difference::Extra("envs/a/x.md".into())]);
    }
}
