//! Whose a path is by a `CODEOWNERS` file: the last line that fits counts, and one without owners takes them away. Patterns are those of
//! `.gitignore` with fewer signs; what we cannot read is said, and never taken for good.
//! <https://docs.github.com/en/repositories/managing-your-repositorys-settings-and-features/customizing-your-repository/about-code-owners>

/// A line's pattern, and whether it names somebody.
struct Line {
    pattern: String,
    has_owner: bool,
}

/// A file.
pub(super) struct CodeOwners(Vec<Line>);

impl CodeOwners {
    pub fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let pattern = words.next()?.to_owned();
            Some(Line { pattern, has_owner: words.next().is_some() })
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// Whether a path has an owner. `None`: that hangs on a pattern that we do not read.
    pub fn has_owner(&self, path: &str) -> Option<bool> {
        let mut has_owner = Some(false);
        for line in &self.0 {
            match fits(&line.pattern, path) {
                Some(true) => has_owner = Some(line.has_owner),
                // Where both come to the same it does not matter.
                None if has_owner != Some(line.has_owner) => has_owner = None,
                Some(false) | None => {}
            }
        }
        has_owner
    }
}

/// Whether a pattern is a path's; `None`: we do not read such a pattern.
fn fits(pattern: &str, path: &str) -> Option<bool> {
    if pattern == "*" || pattern == "**" || pattern == "/**" {
        return Some(true);
    }
    if let Some(end) = pattern.strip_prefix("*.")
        && !end.contains(['*', '?', '/', '['])
    {
        return Some(path.ends_with(&format!(".{end}")));
    }
    // Whatever lies below a folder.
    let pattern = pattern.strip_suffix("**").unwrap_or(pattern);
    let is_folder = pattern.ends_with('/');
    let is_anchored = pattern.trim_end_matches('/').contains('/');
    if let Some(at) = pattern.find(['*', '?', '[', '\\']) {
        // What stands before the first sign is the beginning of the path, or of one of its names.
        let begin = pattern[..at].trim_start_matches('/');
        let may =
            if is_anchored { path.starts_with(begin) } else { path.split('/').any(|name| name.starts_with(begin)) };
        return if may { None } else { Some(false) };
    }
    let name = pattern.trim_matches('/');
    let below =
        |at: &str| at.strip_prefix(name).is_some_and(|rest| rest.starts_with('/') || (rest.is_empty() && !is_folder));
    if is_anchored {
        return Some(below(path));
    }
    // A name alone is that of a file or folder anywhere.
    let mut starts = vec![path];
    starts.extend(path.match_indices('/').map(|(at, _)| &path[at + 1..]));
    Some(starts.into_iter().any(below))
}

#[cfg(test)]
mod tests {
    use super::CodeOwners;

    #[test]
    fn the_last_line_that_fits_counts_and_may_name_nobody() {
        let ours = CodeOwners::parse("# ours\n* @acme/platform\n\n/envs/\n/archive/ # nobody's\n");
        for (path, owned) in [
            ("README.md", true),
            (".github/workflows/x.yml", true),
            ("envs/team/main.tf", false),
            ("archive/x", false),
            ("more/envs/x", true),
            ("envsmore/x", true),
        ] {
            assert_eq!(ours.has_owner(path), Some(owned), "{path}");
        }
        let of = |text: &str, path: &str| CodeOwners::parse(text).has_owner(path);
        assert_eq!(of("", "x"), Some(false));
        assert_eq!(of("*.tf @a", "envs/team/main.tf"), Some(true));
        assert_eq!(of("docs/ @a", "x/docs/y"), Some(true));
        assert_eq!(of("docs/ @a", "docs"), Some(false), "a folder is no file");
        assert_eq!(of("/.github/** @a", ".github/workflows/x.yml"), Some(true));
        assert_eq!(of("/policy.toml @a", "policy.toml"), Some(true));
        assert_eq!(of("* @a\n/envs/*/main.tf", "envs/team/main.tf"), None, "what we do not read is not known");
        assert_eq!(of("* @a\n/envs/*/main.tf @b", "envs/team/main.tf"), Some(true), "an owner either way");
    }
    #[test]
    fn a_pattern_that_is_not_read_is_nothing_to_paths_that_begin_otherwise() {
        let path = ".github/workflows/runnersmith.yml";
        for (pattern, may) in [
            ("/docs/*.md", false),
            ("docs/**/*.md", false),
            ("test-*", false),
            ("/docs?/x", false),
            (".github/workflows/*.yml", true),
            ("/.github/work[a-f]lows/", true),
            ("runner*.yml", true),
            ("work*", true),
            ("**/x.yml", true),
            ("*.y?l", true),
        ] {
            let owners = CodeOwners::parse(&format!("* @acme/platform\n{pattern}\n"));
            assert_eq!(owners.has_owner(path), if may { None } else { Some(true) }, "{pattern}");
        }
    }
}
