//! The digest: one number for everything that an approval is about.
//!
//! It exists apart so that what an approval covers is one list, and so that a part cannot be left out by accident: the list
//! is a struct, and adding to it does not compile until the digest and the comparison have the new part. Parts are hashed
//! with their names and lengths, so that no two lists of parts can give the same bytes.

use std::fmt;

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

/// The fewest hexadecimal digits that name a digest: 48 bits.
pub const PREFIX_DIGITS_MIN: usize = 12;
/// Hashed first, so that a digest of ours is no digest of something else. A change of what is hashed changes this.
const DOMAIN: &str = "runnersmith approval 1";

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(bytes);
        Self::finish(context)
    }

    fn finish(context: Context) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }

    /// Parses 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// The first 12 digits, as people are shown them.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..PREFIX_DIGITS_MIN].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Digest {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a digest has 64 hexadecimal digits")
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// The beginning of a digest, as somebody wrote it: 12 to 64 hexadecimal digits, kept in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestPrefix(String);

impl DigestPrefix {
    /// Parses the text; `None` when it is too short, too long or not hexadecimal.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (PREFIX_DIGITS_MIN..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        fits.then(|| Self(text.to_ascii_lowercase()))
    }

    /// Whether it names this digest.
    #[must_use]
    pub fn names(&self, digest: &Digest) -> bool {
        digest.to_string().starts_with(&self.0)
    }
}

impl fmt::Display for DigestPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything that an approval is about, as read at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestInput {
    /// SHA-256 of the plan file.
    pub plan_file: Digest,
    /// The branch's head commit.
    pub head: String,
    /// SHA-256 over what the plan read of the base branch (paths and blobs), not of the whole tree: changes elsewhere are
    /// no obstacle.
    pub base: Digest,
    /// The state's lineage; empty: there is no state yet.
    pub state_lineage: String,
    /// The state's serial.
    pub state_serial: u64,
    /// SHA-256 of the file that locks provider versions.
    pub lock_file: Digest,
    /// Terraform's version.
    pub terraform_version: String,
    /// Runnersmith's version.
    pub runnersmith_version: String,
    /// SHA-256 of each further comment and file that shows the plan, in order.
    pub continuations: Vec<Digest>,
}

/// A part of [`DigestInput`] that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// What it is, in words.
    pub part: String,
    /// What it was when the plan was made.
    pub was: String,
    /// What it is now.
    pub is: String,
}

impl DigestInput {
    /// Names and values, in the order in which they are hashed.
    fn list(&self) -> Vec<(&'static str, String)> {
        let Self {
            plan_file,
            head,
            base,
            state_lineage,
            state_serial,
            lock_file,
            terraform_version,
            runnersmith_version,
            continuations,
        } = self;
        let continuations: Vec<String> = continuations.iter().map(ToString::to_string).collect();
        vec![
            ("plan file", plan_file.to_string()),
            ("head commit", head.clone()),
            ("base branch", base.to_string()),
            ("state lineage", state_lineage.clone()),
            ("state serial", state_serial.to_string()),
            ("provider lock file", lock_file.to_string()),
            ("Terraform version", terraform_version.clone()),
            ("Runnersmith version", runnersmith_version.clone()),
            ("further comments and files", continuations.join(" ")),
        ]
    }

    /// The digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut context = Context::new(&SHA256);
        let mut part = |text: &str| {
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text.as_bytes());
        };
        part(DOMAIN);
        for (name, value) in self.list() {
            part(name);
            part(&value);
        }
        Digest::finish(context)
    }

    /// What differs now; empty exactly when the digests are the same.
    #[must_use]
    pub fn changed(&self, now: &Self) -> Vec<Changed> {
        let pairs = self.list().into_iter().zip(now.list());
        let changed = pairs.filter(|((_, was), (_, is))| was != is);
        changed.map(|((part, was), (_, is))| Changed { part: part.to_owned(), was, is }).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts() -> DigestInput {
        DigestInput {
            plan_file: Digest::of(b"plan"),
            head: "a".repeat(40),
            base: Digest::of(b"base"),
            state_lineage: "lineage".into(),
            state_serial: 3,
            lock_file: Digest::of(b"lock"),
            terraform_version: "1.14.0".into(),
            runnersmith_version: "0.1.0".into(),
            continuations: vec![Digest::of(b"one"), Digest::of(b"two")],
        }
    }

    #[test]
    fn sha_256_is_the_known_one_and_the_form_is_a_promise() {
        assert_eq!(Digest::of(b"").short(), "e3b0c44298fc");
        // As computed by another program from the description above.
        insta::assert_snapshot!(parts().digest(), @"e1a71e8f3b1f377e048e4f688488386d430e6773e52c560ed3f9bba760bcc593");
    }

    #[test]
    fn every_part_changes_the_digest_and_is_named() {
        type Change = fn(&mut DigestInput);
        let changes: [(&str, Change); 9] = [
            ("plan file", |p| p.plan_file = Digest::of(b"x")),
            ("head commit", |p| p.head.push('b')),
            ("base branch", |p| p.base = Digest::of(b"x")),
            ("state lineage", |p| p.state_lineage.clear()),
            ("state serial", |p| p.state_serial += 1),
            ("provider lock file", |p| p.lock_file = Digest::of(b"x")),
            ("Terraform version", |p| p.terraform_version.push('0')),
            ("Runnersmith version", |p| p.runnersmith_version.push('0')),
            ("further comments and files", |p| p.continuations.swap(0, 1)),
        ];
        for (name, change) in changes {
            let mut now = parts();
            change(&mut now);
            assert_ne!(now.digest(), parts().digest(), "{name}");
            let changed: Vec<String> = parts().changed(&now).into_iter().map(|changed| changed.part).collect();
            assert_eq!(changed, [name]);
        }
        assert_eq!(parts().changed(&parts()), []);
    }

    #[test]
    fn twelve_digits_name_a_digest_and_eleven_do_not() {
        let digest = parts().digest();
        let text = digest.to_string();
        assert!(DigestPrefix::parse(&text[..11]).is_none() && DigestPrefix::parse(&format!("{text}0")).is_none());
        assert!(DigestPrefix::parse(&text[..12].to_uppercase()).unwrap().names(&digest));
        assert!(!DigestPrefix::parse("000000000000").unwrap().names(&digest));
        assert_eq!(Digest::parse(&text), Some(digest));
        assert_eq!(Digest::parse(&format!("+{}", &text[1..])), None);
    }

    proptest! {
        /// Text cannot move from one part to its neighbour without changing the digest.
        #[test]
        fn parts_do_not_run_into_each_other(text in "[a-z0-9]{2,20}", cut in 1_usize..20) {
            let cut = cut.min(text.len() - 1);
            let split = |place: usize| DigestInput { terraform_version: text[..place].into(), runnersmith_version: text[place..].into(), ..parts() };
            prop_assert_ne!(split(cut).digest(), split(0).digest());
        }
    }
}
