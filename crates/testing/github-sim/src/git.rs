//! Git objects with git's own hashes: what makes heads, bases, comparisons and merges behave as they do on GitHub.
//!
//! All repositories share one store, as a repository and its forks do there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A hash, 40 hexadecimal digits.
pub(crate) type Sha = String;

/// A file of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Git's mode: `100644`, `40000` for a folder.
    pub mode: String,
    pub sha: Sha,
}

/// All files of a commit by path.
pub(crate) type Files = BTreeMap<String, Entry>;

/// Who made a commit; the login is GitHub's, found by the address.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub login: Option<String>,
    pub name: String,
    pub email: String,
    pub at_ms: i64,
}

/// The end of addresses that GitHub gives to accounts.
const NO_REPLY: &str = "@users.noreply.github.com";

impl Person {
    /// An account; or, when the login has an `@`, an address that no account has.
    pub fn new(login: &str, at_ms: i64) -> Self {
        if login.contains('@') {
            return Self { login: None, name: login.to_owned(), email: login.to_owned(), at_ms };
        }
        let (login, name) = (login.to_owned(), login.to_owned());
        Self { email: format!("{login}{NO_REPLY}"), login: Some(login), name, at_ms }
    }

    /// The account that has this address, if one has.
    pub fn by_email(name: &str, email: &str, at_ms: i64) -> Self {
        let login = email.strip_suffix(NO_REPLY).map(|local| local.rsplit('+').next().unwrap_or(local).to_owned());
        Self { login, name: name.to_owned(), email: email.to_owned(), at_ms }
    }

    /// GitHub itself, which commits what is merged there.
    pub fn github(at_ms: i64) -> Self {
        Self { login: Some("web-flow".into()), name: "GitHub".into(), email: "noreply@github.com".into(), at_ms }
    }
}

/// A commit.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub tree: Sha,
    pub parents: Vec<Sha>,
    pub author: Person,
    pub committer: Person,
    pub message: String,
}

/// The store.
#[derive(Default)]
pub(crate) struct Objects {
    blobs: BTreeMap<Sha, Vec<u8>>,
    /// Name to file or folder.
    trees: BTreeMap<Sha, BTreeMap<String, Entry>>,
    commits: BTreeMap<Sha, Commit>,
}

fn hash(kind: &str, content: &[u8]) -> Sha {
    let mut context = ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(format!("{kind} {}\0", content.len()).as_bytes());
    context.update(content);
    hex::encode(context.finish())
}

/// The bytes of a hash. Returns none for what is no hash.
fn unhex(sha: &str) -> Vec<u8> {
    hex::decode(sha).unwrap_or_default()
}

impl Objects {
    /// Whether a commit has another before it, or is it.
    pub fn is_after(&self, later: &str, earlier: &str) -> bool {
        self.ancestors(later).contains(earlier)
    }

    pub fn put_blob(&mut self, content: &[u8]) -> Sha {
        let sha = hash("blob", content);
        self.blobs.entry(sha.clone()).or_insert_with(|| content.to_vec());
        sha
    }

    pub fn blob(&self, sha: &str) -> Option<&[u8]> {
        self.blobs.get(sha).map(Vec::as_slice)
    }

    pub fn commit(&self, sha: &str) -> Option<&Commit> {
        self.commits.get(sha)
    }

    pub fn tree(&self, sha: &str) -> Option<&BTreeMap<String, Entry>> {
        self.trees.get(sha)
    }

    /// The tree of these files, folders and all.
    pub fn put_tree(&mut self, files: &Files) -> Sha {
        let mut names: BTreeMap<String, Entry> = BTreeMap::new();
        let mut folders: BTreeMap<String, Files> = BTreeMap::new();
        for (path, entry) in files {
            match path.split_once('/') {
                Some((folder, rest)) => {
                    folders.entry(folder.to_owned()).or_default().insert(rest.to_owned(), entry.clone());
                }
                None => _ = names.insert(path.clone(), entry.clone()),
            }
        }
        for (name, files) in folders {
            let sha = self.put_tree(&files);
            names.insert(name, Entry { mode: "40000".into(), sha });
        }
        // Git sorts a folder as if its name ended with a slash.
        let mut sorted: Vec<(&String, &Entry)> = names.iter().collect();
        sorted.sort_by_key(|(name, entry)| format!("{name}{}", if entry.mode == "40000" { "/" } else { "" }));
        let mut content = Vec::new();
        for (name, entry) in sorted {
            content.extend_from_slice(format!("{} {name}\0", entry.mode).as_bytes());
            content.extend(unhex(&entry.sha));
        }
        let sha = hash("tree", &content);
        self.trees.insert(sha.clone(), names);
        sha
    }

    /// All files of a tree, by path.
    pub fn files(&self, tree: &str) -> Files {
        let mut files = Files::new();
        for (name, entry) in self.trees.get(tree).into_iter().flatten() {
            if entry.mode == "40000" {
                let below = self.files(&entry.sha).into_iter();
                files.extend(below.map(|(path, entry)| (format!("{name}/{path}"), entry)));
            } else {
                files.insert(name.clone(), entry.clone());
            }
        }
        files
    }

    /// All files of a commit, by path.
    pub fn files_of(&self, commit: &str) -> Files {
        self.commits.get(commit).map(|commit| self.files(&commit.tree)).unwrap_or_default()
    }

    pub fn put_commit(&mut self, commit: Commit) -> Sha {
        let mut text = format!("tree {}\n", commit.tree);
        for parent in &commit.parents {
            let _ = writeln!(text, "parent {parent}");
        }
        for (kind, person) in [("author", &commit.author), ("committer", &commit.committer)] {
            let _ = writeln!(text, "{kind} {} <{}> {} +0000", person.name, person.email, person.at_ms.div_euclid(1000));
        }
        let _ = write!(text, "\n{}", commit.message);
        let sha = hash("commit", text.as_bytes());
        self.commits.entry(sha.clone()).or_insert(commit);
        sha
    }

    /// A commit and all before it.
    pub fn ancestors(&self, sha: &str) -> BTreeSet<Sha> {
        let (mut seen, mut left) = (BTreeSet::new(), vec![sha.to_owned()]);
        while let Some(next) = left.pop() {
            if let Some(commit) = self.commits.get(&next)
                && seen.insert(next)
            {
                left.extend(commit.parents.iter().cloned());
            }
        }
        seen
    }

    /// Commits that `head` has and `base` has not, parents before children.
    pub fn between(&self, base: &str, head: &str) -> Vec<Sha> {
        let mut done = self.ancestors(base);
        let mut order = Vec::new();
        // Each is looked at twice: on the way down, and when its parents are done.
        let mut left = vec![(head.to_owned(), false)];
        while let Some((sha, parents_done)) = left.pop() {
            if parents_done {
                order.push(sha);
            } else if let Some(commit) = self.commits.get(&sha)
                && done.insert(sha.clone())
            {
                left.push((sha, true));
                left.extend(commit.parents.iter().rev().map(|parent| (parent.clone(), false)));
            }
        }
        order
    }

    /// The newest commit that both have.
    pub fn merge_base(&self, a: &str, b: &str) -> Option<Sha> {
        let (a, b) = (self.ancestors(a), self.ancestors(b));
        a.intersection(&b).max_by_key(|sha| self.ancestors(sha).len()).cloned()
    }

    /// The files of a merge; `None` when a path was changed on both sides. Whole paths are compared, not lines.
    pub fn merge(&self, ours: &str, theirs: &str) -> Option<Files> {
        let origin = self.merge_base(ours, theirs).map(|base| self.files_of(&base)).unwrap_or_default();
        let (ours, theirs) = (self.files_of(ours), self.files_of(theirs));
        let paths: BTreeSet<&String> = origin.keys().chain(ours.keys()).chain(theirs.keys()).collect();
        let mut merged = Files::new();
        for path in paths {
            let (origin, ours, theirs) = (origin.get(path), ours.get(path), theirs.get(path));
            let kept = match () {
                () if ours == theirs || theirs == origin => ours,
                () if ours == origin => theirs,
                () => return None,
            };
            if let Some(entry) = kept {
                merged.insert(path.clone(), entry.clone());
            }
        }
        Some(merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_gits() {
        let mut objects = Objects::default();
        let blob = objects.put_blob(b"hello\n");
        assert_eq!(blob, "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(objects.put_tree(&Files::new()), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
        // `git init; mkdir a; echo hello > a.txt; echo hello > a/b; git add .; git write-tree`
        let entry = Entry { mode: "100644".into(), sha: blob };
        let files: Files = ["a.txt", "a/b"].map(|path| (path.to_owned(), entry.clone())).into();
        let tree = objects.put_tree(&files);
        assert_eq!(objects.files(&tree), files);
        assert_eq!(tree, "165480a8ee00d9b2e7f603ad75e7357811d78720");
        let person = Person::by_email("A U Thor", "author@example.org", 1_700_000_000_000);
        let commit =
            Commit { tree, parents: Vec::new(), author: person.clone(), committer: person, message: "first\n".into() };
        assert_eq!(objects.put_commit(commit), "cb4aaf809a36b78542e67f45189e1c12c84f5e6e");
    }
}
