//! What becomes of each file: shown before anything is written, and decided by what we wrote last, not by what a file looks
//! like. So an upgrade reaches every file that nobody touched, and none that somebody did.

use std::collections::{BTreeMap, BTreeSet};

use runnersmith_issueops::digest::Digest;
use runnersmith_issueops::policy;
use serde::{Deserialize, Serialize};

use crate::{LaidOutFiles, VERSION, Wishes};

/// Where the manifest lies.
pub const MANIFEST_FILE: &str = ".runnersmith/manifest.json";
/// The format of the manifest.
const FORMAT: u32 = 1;
/// The most files of a manifest; we lay out about twenty.
const FILES_MAX: usize = 200;

/// Content of files that are there, by path.
pub type Existing = BTreeMap<String, Vec<u8>>;

/// What was laid out last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: u32,
    /// The version that laid out.
    pub version: String,
    /// What was asked for.
    pub wishes: Wishes,
    /// The SHA-256 of each file as we had it, whether it was written or kept, by path.
    pub files: BTreeMap<String, String>,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NotAManifest {
    /// It is not JSON of the known form.
    #[error("read {MANIFEST_FILE}")]
    Json(#[source] serde_json::Error),
    /// It is of another format.
    #[error("read {MANIFEST_FILE}: its format is {0}, this program knows {FORMAT}")]
    Format(u32),
    /// A path in it could leave the repository.
    #[error("read {MANIFEST_FILE}: {0:?} is not a path of this repository")]
    Path(String),
    /// It has too many files.
    #[error("read {MANIFEST_FILE}: it has more than {FILES_MAX} files")]
    Many,
}

/// Whether a path stays in the repository, and out of git's own directory.
fn is_inside(path: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.eq_ignore_ascii_case(".git");
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    path.chars().all(plain) && path.split('/').all(part)
}

impl Manifest {
    /// The manifest of files that were laid out.
    #[must_use]
    pub fn of(wishes: &Wishes, files: &LaidOutFiles) -> Self {
        let files = files.iter().map(|(path, text)| (path.clone(), hash(text.as_bytes()))).collect();
        Self { format: FORMAT, version: VERSION.to_owned(), wishes: wishes.clone(), files }
    }

    /// Reads a manifest. It lies in a repository that many may write to, so its paths are checked.
    ///
    /// # Errors
    /// When it is not one of ours.
    pub fn parse(text: &str) -> Result<Self, NotAManifest> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let head: Head = serde_json::from_str(text).map_err(NotAManifest::Json)?;
        if head.format != FORMAT {
            return Err(NotAManifest::Format(head.format));
        }
        let manifest: Self = serde_json::from_str(text).map_err(NotAManifest::Json)?;
        if manifest.files.len() > FILES_MAX {
            return Err(NotAManifest::Many);
        }
        match manifest.files.keys().find(|path| !is_inside(path)) {
            Some(path) => Err(NotAManifest::Path(path.clone())),
            None => Ok(manifest),
        }
    }

    /// As it is written.
    ///
    /// # Errors
    /// Never in practice: when it cannot be written as JSON.
    pub fn text(&self) -> Result<String, serde_json::Error> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }
}

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It is not there and is written.
    Create,
    /// Nobody edited it; ours is new and is written.
    Update,
    /// It was edited, or was there before us; it is named and so it is replaced.
    Replace,
    /// Nobody edited it, and it is not laid out any more; it is deleted.
    Remove,
    /// It was edited, and ours changed since: it stays, and somebody has to look.
    Conflict,
    /// It is not laid out any more, but it was edited: it stays, and somebody has to look.
    Orphan,
    /// It was edited, and ours did not change: it stays.
    Edited,
    /// It was deleted; it stays away.
    Deleted,
    /// It is as it should be.
    Same,
}

impl What {
    /// Whether something is written or deleted.
    #[must_use]
    pub const fn is_change(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Replace | Self::Remove)
    }

    /// Whether somebody has to look.
    #[must_use]
    pub const fn is_by_hand(self) -> bool {
        matches!(self, Self::Conflict | Self::Orphan)
    }

    /// The word for it, said of a file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Create => "new",
            Self::Update => "updated",
            Self::Replace => "replaced",
            Self::Remove => "removed",
            Self::Conflict => "kept, look",
            Self::Orphan => "not ours now",
            Self::Edited => "kept",
            Self::Deleted => "stays deleted",
            Self::Same => "same",
        }
    }
}

/// What becomes of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayoutStep {
    /// Its path.
    pub path: String,
    /// What becomes of it.
    pub what: What,
    /// From what is there to what we would have, as a unified diff; empty: there is nothing to show.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub diff: String,
}

/// A content's SHA-256 in hexadecimal digits. Line ends of Windows do not count: git may have put them there.
fn hash(content: &[u8]) -> String {
    Digest::of(&plain(content)).to_string()
}

fn plain(content: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(content.len());
    for (at, byte) in content.iter().enumerate() {
        if *byte != b'\r' || content.get(at + 1) != Some(&b'\n') {
            plain.push(*byte);
        }
    }
    plain
}

fn diff(path: &str, old: &[u8], new: &str) -> String {
    let old = String::from_utf8_lossy(&plain(old)).into_owned();
    let diff = similar::TextDiff::from_lines(old.as_str(), new);
    let text = diff.unified_diff().header(&format!("a/{path}"), &format!("b/{path}")).to_string();
    // It is printed to a terminal, and the file is anybody's.
    let shown = |c: char| match c {
        '\n' | '\t' => c.to_string(),
        c if c.is_control() => c.escape_unicode().to_string(),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// The policy that is in force after an upgrade, if it is not the one that the wishes make: the user's own file, when it is
/// edited (it is meant to be) and not named in `replace`.
#[must_use]
pub fn policy_in_force(existing: &Existing, last: Option<&Manifest>, replace: &BTreeSet<String>) -> Option<String> {
    let content = existing.get(policy::FILE).filter(|_| !replace.contains(policy::FILE))?;
    let written = last.and_then(|last| last.files.get(policy::FILE));
    let is_edited = written != Some(&hash(content));
    is_edited.then(|| String::from_utf8_lossy(&plain(content)).into_owned())
}

/// What becomes of every file that is wanted, or was. `replace` names files whose own content may be lost. Order: by path.
#[must_use]
pub fn compare(
    existing: &Existing,
    wanted: &LaidOutFiles,
    last: Option<&Manifest>,
    replace: &BTreeSet<String>,
) -> Vec<LayoutStep> {
    let none = BTreeMap::new();
    let last = last.map_or(&none, |last| &last.files);
    let paths: BTreeSet<&String> = wanted.keys().chain(last.keys()).collect();
    let step = |path: &String| {
        let (there, ours, written) = (existing.get(path), wanted.get(path), last.get(path));
        let is_named = replace.contains(path);
        let what = match (there, ours) {
            (None, None) => return None,
            (None, Some(_)) if written.is_some() && !is_named => What::Deleted,
            (None, Some(_)) => What::Create,
            (Some(content), None) if written == Some(&hash(content)) || is_named => What::Remove,
            (Some(_), None) => What::Orphan,
            (Some(content), Some(ours)) => {
                let (now, new) = (hash(content), hash(ours.as_bytes()));
                if now == new {
                    What::Same
                } else if written == Some(&now) {
                    What::Update
                } else if is_named {
                    What::Replace
                } else if written == Some(&new) {
                    What::Edited
                } else {
                    What::Conflict
                }
            }
        };
        let diff = match (there, what) {
            (Some(content), What::Update | What::Replace | What::Remove | What::Conflict) => {
                diff(path, content, ours.map_or("", String::as_str))
            }
            _ => String::new(),
        };
        Some(LayoutStep { path: path.clone(), what, diff })
    };
    paths.into_iter().filter_map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> LaidOutFiles {
        list.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    fn existing(list: &[(&str, &str)]) -> Existing {
        list.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
    }

    fn decided(
        there: &[(&str, &str)],
        wanted: &[(&str, &str)],
        last: &[(&str, &str)],
        replace: &[&str],
    ) -> Vec<(String, What)> {
        let last = Manifest::of(&Wishes::default(), &files(last));
        let replace = replace.iter().map(ToString::to_string).collect();
        let steps = compare(&existing(there), &files(wanted), Some(&last), &replace);
        steps.into_iter().map(|step| (step.path, step.what)).collect()
    }

    #[test]
    fn every_case_has_its_own_end() {
        // There, wanted, written last, named; "-": not.
        for (there, wanted, last, named, what) in [
            ("-", "1", "-", false, What::Create),
            ("1", "1", "-", false, What::Same),
            ("1", "1", "1", false, What::Same),
            ("1", "2", "1", false, What::Update),
            ("x", "1", "-", false, What::Conflict),
            ("x", "1", "1", false, What::Edited),
            ("x", "2", "1", false, What::Conflict),
            ("x", "2", "1", true, What::Replace),
            ("x", "1", "1", true, What::Replace),
            ("2", "2", "1", false, What::Same),
            ("-", "1", "1", false, What::Deleted),
            ("-", "2", "1", true, What::Create),
            ("1", "-", "1", false, What::Remove),
            ("x", "-", "1", false, What::Orphan),
            ("x", "-", "1", true, What::Remove),
            ("1\r\n", "2", "1\n", false, What::Update),
        ] {
            let one = |text: &'static str| if text == "-" { vec![] } else { vec![("f", text)] };
            let named: &[&str] = if named { &["f"] } else { &[] };
            assert_eq!(
                decided(&one(there), &one(wanted), &one(last), named),
                [("f".to_owned(), what)],
                "{there} {wanted} {last}"
            );
        }
        assert_eq!(decided(&[], &[], &[("f", "1")], &[]), []);
    }

    #[test]
    fn what_would_change_is_shown_and_cannot_reach_the_terminal() {
        let last = Manifest::of(&Wishes::default(), &files(&[("f", "a\nb\n")]));
        let there = existing(&[("f", "a\n\u{1b}[31mx\n")]);
        let steps = compare(&there, &files(&[("f", "a\nc\n")]), Some(&last), &BTreeSet::new());
        assert_eq!(steps[0].diff, "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\n-\\u{1b}[31mx\n+c\n");
    }

    #[test]
    fn a_manifest_that_would_leave_the_repository_is_refused() {
        for path in ["../x", "/etc/passwd", "a/../../x", ".git/config", ".GIT/hooks/x", "a//b", "a\\b", ""] {
            let manifest = Manifest::of(&Wishes::default(), &files(&[(path, "")]));
            assert!(matches!(Manifest::parse(&manifest.text().unwrap()), Err(NotAManifest::Path(_))), "{path}");
        }
        let good = Manifest::of(&Wishes::default(), &files(&[(".github/workflows/x.yml", "")]));
        assert_eq!(Manifest::parse(&good.text().unwrap()).unwrap(), good);
        let newer = good.text().unwrap().replace("\"format\": 1", "\"format\": 2, \"more\": 0");
        assert!(matches!(Manifest::parse(&newer), Err(NotAManifest::Format(2))));
        assert!(matches!(Manifest::parse("{"), Err(NotAManifest::Json(_))));
    }

    #[test]
    fn the_users_policy_is_in_force_only_when_it_is_the_users() {
        let (path, ours) = (policy::FILE, "version = 1\n");
        let last = Manifest::of(&Wishes::default(), &files(&[(path, ours)]));
        let none = BTreeSet::new();
        assert_eq!(policy_in_force(&existing(&[(path, ours)]), Some(&last), &none), None);
        assert_eq!(policy_in_force(&existing(&[(path, "x")]), Some(&last), &none).as_deref(), Some("x"));
        assert_eq!(policy_in_force(&existing(&[(path, "x")]), None, &none).as_deref(), Some("x"));
        assert_eq!(policy_in_force(&existing(&[(path, "x")]), Some(&last), &[path.to_owned()].into()), None);
        assert_eq!(policy_in_force(&Existing::new(), None, &none), None);
    }
}
