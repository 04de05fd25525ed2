//! Versions of `actions/runner`, as its releases and archives name them.

use std::fmt;

/// A version's numbers, in their order: 2.330.0 is newer than 2.99.0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunnerVersion(Vec<u64>);

impl RunnerVersion {
    /// Reads `2.330.0` or `v2.330.0`; a prerelease has no place in the order.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let numbers: Option<Vec<u64>> =
            text.strip_prefix('v').unwrap_or(text).split('.').map(|part| part.parse().ok()).collect();
        numbers.map(Self)
    }

    /// The version of a release's archive for a platform (`linux-x64`, `linux-arm64`), by the name that GitHub gives it.
    #[must_use]
    pub fn of_archive(name: &str, platform: &str) -> Option<Self> {
        let version = name.strip_prefix("actions-runner-")?.strip_prefix(platform)?.strip_prefix('-')?;
        Self::parse(version.strip_suffix(".tar.gz")?)
    }
}

impl fmt::Display for RunnerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, number) in self.0.iter().enumerate() {
            write!(f, "{}{number}", if place == 0 { "" } else { "." })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_number_by_number() {
        let version = |text: &str| RunnerVersion::parse(text).unwrap();
        assert!(version("2.330.0") > version("2.99.0") && version("v2.330.1") > version("2.330.0"));
        assert_eq!(version("v2.330.0").to_string(), "2.330.0");
        assert_eq!(["", "newest", "2.330.0-rc.1", "2..0", "-1"].map(RunnerVersion::parse), [const { None }; 5]);
    }

    #[test]
    fn an_archive_is_known_by_the_name_that_github_gives_it() {
        let of = |name: &str| RunnerVersion::of_archive(name, "linux-x64").map(|version| version.to_string());
        assert_eq!(of("actions-runner-linux-x64-2.330.0.tar.gz").as_deref(), Some("2.330.0"));
        for other in [
            "actions-runner-linux-arm64-2.330.0.tar.gz",
            "actions-runner-linux-x64-2.330.0.tar.gz.part",
            "actions-runner-linux-x64-newest.tar.gz",
            "actions-runner-linux-x642.330.0.tar.gz",
            "other",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
