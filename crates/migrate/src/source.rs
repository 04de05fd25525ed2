//! What a block's source is: that module, one of its parts, or something else whose name is like it.

/// The module's name in a registry or a repository.
const REPOSITORY: &str = "terraform-aws-github-runner";
/// Its name in a registry, with the provider that follows.
const IN_REGISTRY: [&str; 2] = ["github-runner", "aws"];
/// Who publishes it, now and before.
const PUBLISHERS: [&str; 2] = ["github-aws-runners", "philips-labs"];
/// The part that has several kinds of runners.
const MULTI_RUNNER: &str = "multi-runner";

/// What a block takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken<'a> {
    /// The module itself.
    Root,
    /// Its part `multi-runner`, which has several kinds of runners.
    MultiRunner,
    /// Another part of it, by name.
    Part(&'a str),
}

/// Whether a source is that module. A fork, a mirror or a copy counts when the block gives what the module always needs; others of a
/// similar name do not.
pub(crate) fn taken<'a>(source: &'a str, gives: impl Fn(&str) -> bool) -> Option<Taken<'a>> {
    let source = source.split('?').next().unwrap_or_default();
    // A scheme's slashes are no path into a package, and git@host:owner/name is an address too.
    let path = source.split_once("://").map_or(source, |(_, rest)| rest);
    let (package, below) = path.split_once("//").map_or((path, None), |(package, below)| (package, Some(below)));
    let mut words: Vec<&str> = package.split(['/', ':']).filter(|word| !word.is_empty() && *word != ".").collect();
    if let Some(last) = words.last_mut() {
        *last = last.trim_end_matches(".git");
    }
    // A path on disk has no double slash before a part.
    let mut part = below.and_then(part_of);
    if part.is_none() && below.is_none() && words.len() >= 2 && words[words.len() - 2] == "modules" {
        part = words.last().copied();
        words.truncate(words.len() - 2);
    }
    let (name, publisher) = match words.as_slice() {
        [.., publisher, name, provider] if [*name, *provider] == IN_REGISTRY => (REPOSITORY, *publisher),
        [.., publisher, name] => (*name, *publisher),
        [name] => (*name, ""),
        [] => ("", ""),
    };
    let is_published = name == REPOSITORY && PUBLISHERS.contains(&publisher);
    // Copies lie under any name; only one part is known by what it is given.
    let is_multi_runner = part == Some(MULTI_RUNNER) && gives("multi_runner_config");
    let is_copy = name == REPOSITORY && (part.is_some() || gives("github_app"));
    if !(is_published || is_copy || is_multi_runner) {
        return None;
    }
    Some(match part {
        None => Taken::Root,
        Some(MULTI_RUNNER) => Taken::MultiRunner,
        Some(part) => Taken::Part(part),
    })
}

/// `modules/webhook` is the part `webhook`; nothing below the package is the module.
fn part_of(below: &str) -> Option<&str> {
    let below = below.trim_matches(['/', '.']);
    (!below.is_empty()).then(|| below.strip_prefix("modules/").unwrap_or(below))
}

#[cfg(test)]
mod tests {
    use super::{Taken, taken};

    #[test]
    fn the_module_is_not_taken_for_others_of_a_similar_name() {
        let app = |name: &str| name == "github_app";
        let multi = |name: &str| ["github_app", "multi_runner_config"].contains(&name);
        for (source, expected) in [
            ("philips-labs/github-runner/aws", Some(Taken::Root)),
            ("registry.terraform.io/github-aws-runners/github-runner/aws", Some(Taken::Root)),
            ("app.terraform.io/acme/github-runner/aws", Some(Taken::Root)),
            ("github.com/philips-labs/terraform-aws-github-runner?ref=v0.12.0", Some(Taken::Root)),
            ("git::https://github.com/acme/terraform-aws-github-runner.git?ref=ours", Some(Taken::Root)),
            ("git@github.com:github-aws-runners/terraform-aws-github-runner.git", Some(Taken::Root)),
            ("git::ssh://git@github.com/acme/terraform-aws-github-runner.git//.?ref=v1", Some(Taken::Root)),
            ("../../vendor/terraform-aws-github-runner", Some(Taken::Root)),
            ("./terraform-aws-github-runner/modules/download-lambda", Some(Taken::Part("download-lambda"))),
            ("philips-labs/github-runner/aws//modules/webhook", Some(Taken::Part("webhook"))),
            ("github-aws-runners/github-runner/aws//modules/multi-runner", Some(Taken::MultiRunner)),
            ("../../modules/multi-runner", None),
            ("acme/terraform-aws-github-runner-codebuild/aws", None),
            ("acme/github-runners/aws", None),
            ("github.com/acme/terraform-aws-github-runners", None),
            ("./modules/github-runner", None),
            ("", None),
        ] {
            assert_eq!(taken(source, app), expected, "{source}");
        }
        assert_eq!(taken("../../modules/multi-runner", multi), Some(Taken::MultiRunner));
        let nothing = |_: &str| false;
        assert_eq!(taken("git::https://example.com/other/terraform-aws-github-runner", nothing), None);
        assert_eq!(taken("philips-labs/github-runner/aws", nothing), Some(Taken::Root));
    }
}
