//! Where the policy's paths lead in the control repository. Its environments' folders and their archive have no code owner, so that any
//! writer brings there what they like: no module, which Terraform runs, and no zip, which AWS runs, is taken from there.

use super::Policy;

/// Stands for an environment's name; no path has such a part.
const ANY: &str = "*";

/// Whether a path is one of the control repository, as an environment's folder sees it. Others are addresses, or files of the host.
pub(super) fn is_relative(path: &str) -> bool {
    !path.starts_with('/') && (path.starts_with("./") || path.starts_with("../") || !path.contains(':'))
}

/// What of a module's address is read as a whole, if it is in the control repository: what stands before two slashes, since a module may
/// reach beside itself. Terraform takes nothing else for a path.
pub(super) fn package(source: &str) -> Option<&str> {
    let is_local = source.starts_with("./") || source.starts_with("../");
    is_local.then(|| source.split_once("//").map_or(source, |(package, _)| package))
}

/// The host and the path of an address over the network: `scheme://`, git's own `user@host:path`, or what begins with a host's name. What
/// getters of Terraform stand before it, such as `git::`, do not matter.
fn remote(address: &str) -> Option<(&str, &str)> {
    let address = address.rsplit_once("::").map_or(address, |(_, address)| address);
    let (authority, path) = match address.split_once("://") {
        Some((_, rest)) => rest.split_once('/').unwrap_or((rest, "")),
        None => address.split_once(['/', ':'])?,
    };
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    Some((host.split(':').next().unwrap_or_default(), path))
}

/// Where a relative path leads, from the repository's root. `None`: out of the repository, or to its root.
fn from_environment(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').chain([ANY]).collect();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// Whether one is the other or below it; without case, as some file systems compare.
pub(super) fn is_inside(one: &str, other: &str) -> bool {
    format!("{one}/").to_lowercase().starts_with(&format!("{other}/").to_lowercase())
}

/// Why nothing may be taken from a place, as a rule that it breaks.
pub(super) fn wrong_place(path: &str, folder: &str, archive_folder: &str) -> Option<String> {
    let rule = |rule: &str| Some(format!("{rule}, as seen from an environment's folder, such as ../../name"));
    let Some(place) = from_environment(folder, path) else {
        return rule("a path to a folder or a file of this repository");
    };
    let has_no_owner =
        [folder, archive_folder].iter().any(|unowned| is_inside(&place, unowned) || is_inside(unowned, &place));
    if has_no_owner {
        return rule(&format!("a path that keeps clear of {folder} and {archive_folder}, which have no code owner"));
    }
    None
}

impl Policy {
    /// The folder of the module in this repository, when the policy names one by a relative path: plans read it from the default branch
    /// and never from another one.
    #[must_use]
    pub fn module_folder(&self) -> Option<String> {
        from_environment(&self.folder, package(&self.module_source)?)
    }

    /// Whether the module's address leads over the network to this repository, `owner/name`. Terraform would take it from whatever branch
    /// and folder the address names; by a path it is read from the default branch alone, and from no folder without a code owner.
    ///
    /// It goes by what the address says: GitHub's host (github.com, a ghe.com address, or the policy's own server) and the repository's name
    /// of today. An earlier name that GitHub still redirects is not known here, nor is another host's copy.
    #[must_use]
    pub fn fetches_module_from(&self, repository: &str) -> bool {
        let Some((owner, name)) = repository.split_once('/') else { return false };
        let address = self.module_source.split('?').next().unwrap_or_default();
        let Some((host, path)) = remote(address).filter(|_| package(&self.module_source).is_none()) else {
            return false;
        };
        let mut parts: Vec<&str> = Vec::new();
        for part in path.split(['/', ':']) {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        let is_it = |pair: &[&str]| {
            let without_end = |part: &str| part.to_lowercase().trim_end_matches(".git").to_owned();
            pair[0].eq_ignore_ascii_case(owner) && without_end(pair[1]) == name.to_lowercase()
        };
        self.is_githubs(host) && parts.windows(2).any(is_it)
    }

    /// Whether a host is GitHub's, as far as the policy says: its subdomains too, such as the one that takes ssh by the port of HTTPS.
    fn is_githubs(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_lowercase();
        let own = self.ghes_url.as_deref().and_then(remote).map(|(host, _)| host.to_lowercase());
        let hosts = ["github.com", "ghe.com"].into_iter().chain(own.as_deref());
        hosts.into_iter().any(|known| host == known || host.ends_with(&format!(".{known}")))
    }

    /// The zips that lie in this repository, from its root; they are read as the module is.
    pub fn zip_files(&self) -> impl Iterator<Item = String> {
        let zips = [&self.zips.webhook, &self.zips.runners, &self.zips.syncer];
        let own = zips.into_iter().flatten().filter(|path| is_relative(path));
        own.filter_map(|path| from_environment(&self.folder, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = include_str!("../../tests/support/policy.toml");

    fn with_module(source: &str) -> Result<Policy, String> {
        let text = LEAST.replace("../../modules/runnersmith", source);
        Policy::parse(&text).map_err(|error| error.to_string())
    }

    fn with_zip(path: &str) -> Result<Policy, String> {
        Policy::parse(&format!("{LEAST}\n[zips]\nrunners = \"{path}\"\n")).map_err(|error| error.to_string())
    }

    #[test]
    fn no_module_is_taken_from_a_folder_that_has_no_code_owner() {
        for source in [
            "./module",
            "./",
            "../module",
            "../../actions-runner-envs/module",
            "../../Actions-Runner-Envs/module",
            "../../actions-runner-envs-archive/module",
            "../../modules/../actions-runner-envs/module",
            "../../actions-runner-envs//module",
            // What stands before two slashes is read as a whole, with what lies in it.
            "../..//modules/runnersmith",
            "../../",
            "../../../modules",
        ] {
            let refused = with_module(source).expect_err(source);
            assert!(refused.contains("module_source") && refused.contains("../../name"), "{source}: {refused}");
        }
        for (source, folder) in [
            ("../../modules/runnersmith", Some("modules/runnersmith")),
            ("../../terraform//modules/scale-set", Some("terraform")),
            ("../.././actions-runner/module", Some("actions-runner/module")),
            ("git::https://example.com/acme/x.git//terraform?ref=v1", None),
            ("acme/runnersmith/aws", None),
            ("/opt/runnersmith/terraform", None),
        ] {
            assert_eq!(with_module(source).expect(source).module_folder().as_deref(), folder, "{source}");
        }
    }

    #[test]
    fn a_module_that_is_fetched_from_the_control_repository_is_known_by_its_address() {
        for (source, is_own) in [
            ("git::https://github.com/acme/control.git//actions-runner-envs/module?ref=main", true),
            ("git::https://github.com/Acme/Control//modules/runnersmith?ref=v1", true),
            ("git::ssh://git@github.com/acme/control.git", true),
            ("git@github.com:acme/control.git//x", true),
            ("github.com/acme/control//modules/runnersmith", true),
            ("https://github.com/acme/control/archive/evil.zip", true),
            ("git::ssh://git@ssh.github.com:443/acme/control.git", true),
            ("git::https://somebody:x@GitHub.com./acme/./more/../control.git//x", true),
            ("git::https://acme.ghe.com/acme/control", true),
            ("git::https://git.acme.example:8443/acme/control.git//x", true),
            ("git@git.acme.example:acme/control.git", true),
            ("git::https://gitlab.example/acme/control.git//m", false),
            ("git::https://github.com@gitlab.example/acme/control.git", false),
            ("git::https://notgithub.com/acme/control.git", false),
            ("app.terraform.io/acme/control/aws", false),
            ("bitbucket.org/acme/control", false),
            ("git::https://github.com/acme/control-more.git//x", false),
            ("git::https://github.com/acme/other.git//acme/controls?ref=acme/control", false),
            ("acme/control/aws", false),
            ("../../acme/control", false),
        ] {
            let mut policy = with_module(source).expect(source);
            policy.ghes_url = Some("https://git.acme.example:8443".into());
            assert_eq!(policy.fetches_module_from("acme/control"), is_own, "{source}");
        }
    }

    #[test]
    fn a_folder_of_environments_is_no_part_of_a_module() {
        let text = LEAST.replace("version = 1", "version = 1\nfolder = \"terraform/envs\"\n");
        let text = text.replace("../../modules/runnersmith", "../../../terraform");
        let refused = Policy::parse(&text).expect_err("it is around").to_string();
        assert!(refused.contains("module_source"), "{refused}");
    }

    #[test]
    fn no_zip_is_taken_from_a_folder_that_has_no_code_owner() {
        for path in [
            "runners.zip",
            "zips/runners.zip",
            "./zips/runners.zip",
            "../other/runners.zip",
            "../../actions-runner-envs/x/runners.zip",
            "../../actions-runner-envs-archive/runners.zip",
            "../../../runners.zip",
        ] {
            let refused = with_zip(path).expect_err(path);
            assert!(refused.contains("zips.runners"), "{path}: {refused}");
        }
        let zips = |path: &str| with_zip(path).expect(path).zip_files().collect::<Vec<_>>();
        assert_eq!(zips("../../zips/runners.zip"), ["zips/runners.zip"]);
        assert_eq!(zips("/opt/runnersmith/runners.zip"), Vec::<String>::new(), "the host's own");
    }
}
