//! Which glibc a program needs: AWS's has a version, and a program that wants a newer one does not start there.

use std::fmt;

/// A version of glibc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// Relative relocations, which a linker may be asked to pack, have a mark of their own since this version.
const PACKED_RELOCATIONS: (&[u8], Version) = (b"GLIBC_ABI_DT_RELR", Version(2, 36));

/// The highest version that a program names. Names of versions stand in its table of strings, each between zeros.
pub fn needed(program: &[u8]) -> Version {
    let named = program.split(|byte| *byte == 0).filter_map(version);
    named.max().unwrap_or(Version(0, 0))
}

fn version(word: &[u8]) -> Option<Version> {
    if word == PACKED_RELOCATIONS.0 {
        return Some(PACKED_RELOCATIONS.1);
    }
    let text = std::str::from_utf8(word.strip_prefix(b"GLIBC_")?).ok()?;
    let mut parts = text.split('.');
    let version = Version(parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    // The third part of 2.2.5 makes no difference to what is asked here.
    parts.all(|part| part.parse::<u32>().is_ok()).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::{Version, needed};

    #[test]
    fn the_highest_name_counts_by_number_and_text_around_it_does_not() {
        let program =
            b"\x7fELF\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0GLIBC_PRIVATE\0see GLIBC_2.99\0GLIBC_2.40 is new\0";
        assert_eq!(needed(program), Version(2, 34));
        assert_eq!(needed(b"\0GLIBC_2.17\0GLIBC_ABI_DT_RELR\0"), Version(2, 36));
        assert_eq!(needed(b"static"), Version(0, 0));
        assert!(Version(2, 9) < Version(2, 34));
    }
}
