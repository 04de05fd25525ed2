//! What is asked for. The same values are options of the command and lie in the manifest, so that a second run needs none.

use runnersmith_issueops::policy::PolicyError;
use serde::{Deserialize, Serialize};

/// What is asked for, as it was given; nothing about it is believed before [`crate::lay_out`] has checked it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wishes {
    /// The control repository, owner/name; in GitHub's own spelling, since AWS compares it with case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Its number at GitHub: repositories made, renamed or transferred after 15 July 2026 have it in their tokens' subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository_id: Option<u64>,
    /// Its owner's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<u64>,
    /// Its default branch; `main` if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_branch: Option<String>,
    /// `own-stack` (if it is not said) or `shared-plane`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<String>,
    /// Where a shared control plane finds its scale sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plane_path: Option<String>,
    /// Organisations that runners may be for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub organizations: Vec<String>,
    /// The region of the network and of the state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The network's VPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc: Option<String>,
    /// Its subnets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subnets: Vec<String>,
    /// The bucket of Terraform's states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// A DynamoDB table for locks; S3's own lock file if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_table: Option<String>,
    /// The role of the job that plans; static keys if no roles are said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_role_arn: Option<String>,
    /// The role of the job that applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apply_role_arn: Option<String>,
    /// The team that owns policy and workflow, organisation/team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_team: Option<String>,
    /// GitHub's address, if it is not github.com.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_url: Option<String>,
    /// The repository of Runnersmith's releases and module, owner/name on github.com.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Where Terraform takes the module from, in place of [`Self::source`]; a relative path is one from an environment's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module_source: Option<String>,
    /// Where the program is fetched, in place of [`Self::source`]'s release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary_url: Option<String>,
    /// The program's SHA-256. Without it the workflow refuses to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary_sha256: Option<String>,
    /// The label of the machines that handle requests; `ubuntu-latest` if it is not said, which a GitHub Enterprise Server does not
    /// have. Never the fleet's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs_on: Option<String>,
}

/// Which GitHub it is: they differ in who makes a job's tokens and in the machines that there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitHubKind {
    /// github.com.
    DotCom,
    /// `<subdomain>.ghe.com`, Enterprise Cloud with data residency.
    DataResidency(String),
    /// A GitHub Enterprise Server.
    Server,
}

impl GitHubKind {
    /// By the server's address; none is github.com.
    #[must_use]
    pub fn of(server_url: Option<&str>) -> Self {
        let url = server_url.unwrap_or("https://github.com").trim_end_matches('/').to_ascii_lowercase();
        let host = url.split_once("://").map_or(url.as_str(), |(_, host)| host);
        match host.strip_suffix(".ghe.com") {
            Some(subdomain) => Self::DataResidency(subdomain.to_owned()),
            None if matches!(host, "github.com" | "www.github.com") => Self::DotCom,
            None => Self::Server,
        }
    }

    /// Whether its tokens can have ids in their subject; a GitHub Enterprise Server's have none.
    #[must_use]
    pub const fn has_immutable_subjects(&self) -> bool {
        !matches!(self, Self::Server)
    }
}

/// Why nothing can be laid out.
#[derive(Debug, thiserror::Error)]
pub enum Cannot {
    /// These options are needed and were never given.
    #[error("lay out the control repository: {} needed: {}", if .0.len() == 1 { "an option is" } else { "options are" }, .0.join(", "))]
    Missing(Vec<&'static str>),
    /// Values that cannot be used: all of them.
    #[error("lay out the control repository: {}", .0.join("; "))]
    Values(Vec<String>),
    /// The repository's policy file cannot be used; the forms are made from it.
    #[error("use the repository's own policy file")]
    Policy(#[source] PolicyError),
}

fn is_word(text: &str, max: usize, extra: &str) -> bool {
    !text.is_empty() && text.len() <= max && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
}

fn is_pair(text: &str) -> bool {
    let name = |part: &str| is_word(part, 100, "-_.") && !part.starts_with(['.', '-']);
    text.split_once('/').is_some_and(|(owner, rest)| name(owner) && name(rest))
}

/// Whether both name one repository; GitHub compares names without case.
fn same_name(one: &Option<String>, other: &Option<String>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one.eq_ignore_ascii_case(other))
}

fn is_branch(text: &str) -> bool {
    is_word(text, 200, "-_./") && !text.starts_with(['/', '-']) && !text.contains("..")
}

fn is_role(text: &str) -> bool {
    let path = text
        .strip_prefix("arn:")
        .and_then(|rest| rest.split_once(":iam::"))
        .and_then(|(_, rest)| rest.split_once(":role/"));
    path.is_some_and(|(account, name)| {
        account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) && is_word(name, 600, "+=,.@-_/")
    }) && is_word(text, 700, "+=,.@-_/:")
}

fn is_download(text: &str) -> bool {
    text.strip_prefix("https://").is_some_and(|rest| is_word(rest, 500, "-_./:?=&~+%"))
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

impl Wishes {
    /// These wishes where they say something, and `earlier` ones where they do not. What belongs to one version of the program
    /// is not taken over from another. An empty text takes back what was said.
    #[must_use]
    pub fn over(self, earlier: Self, is_same_version: bool) -> Self {
        let list = |new: Vec<String>, old: Vec<String>| if new.is_empty() { old } else { new };
        let pick = |new: Option<String>, old: Option<String>| new.or(old).filter(|text| !text.is_empty());
        let binary = Some(earlier.binary_url).filter(|_| is_same_version).flatten();
        // A checksum is that of one file: another address has another one.
        let is_same_binary = is_same_version && self.binary_url.is_none();
        let sha256 = Some(earlier.binary_sha256).filter(|_| is_same_binary).flatten();
        // A stack of its own has no control plane; the path would be refused.
        let plane_path = Some(earlier.plane_path).filter(|_| self.shape.as_deref() != Some("own-stack")).flatten();
        // Numbers are those of one repository.
        let is_same_repository = self.repository.is_none() || same_name(&self.repository, &earlier.repository);
        let kept = |id: Option<u64>| id.filter(|_| is_same_repository);
        let (repository_id, owner_id) = match (self.repository_id, self.owner_id) {
            (None, None) => (kept(earlier.repository_id), kept(earlier.owner_id)),
            given => given,
        };
        // GitHub's own spelling, once it is known, is not lost by saying the name again in another one. With numbers it is new:
        // after a change of name in case alone, for one.
        let is_known = earlier.repository_id.is_some() && self.repository_id.is_none() && self.owner_id.is_none();
        let repository = if is_same_repository && is_known { None } else { self.repository };
        Self {
            repository: pick(repository, earlier.repository),
            repository_id,
            owner_id,
            default_branch: pick(self.default_branch, earlier.default_branch),
            shape: pick(self.shape, earlier.shape),
            plane_path: pick(self.plane_path, plane_path),
            organizations: list(self.organizations, earlier.organizations),
            region: pick(self.region, earlier.region),
            vpc: pick(self.vpc, earlier.vpc),
            subnets: list(self.subnets, earlier.subnets),
            bucket: pick(self.bucket, earlier.bucket),
            lock_table: pick(self.lock_table, earlier.lock_table),
            plan_role_arn: pick(self.plan_role_arn, earlier.plan_role_arn),
            apply_role_arn: pick(self.apply_role_arn, earlier.apply_role_arn),
            platform_team: pick(self.platform_team, earlier.platform_team),
            server_url: pick(self.server_url, earlier.server_url),
            source: pick(self.source, earlier.source),
            module_source: pick(self.module_source, earlier.module_source),
            binary_url: pick(self.binary_url, binary),
            binary_sha256: pick(self.binary_sha256, sha256),
            runs_on: pick(self.runs_on, earlier.runs_on),
        }
    }

    /// What is needed and not said, as options.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let needed = [
            ("--repository owner/name", self.repository.is_none()),
            ("--organization <login>", self.organizations.is_empty()),
            ("--region <region>", self.region.is_none()),
            ("--vpc <id>", self.vpc.is_none()),
            ("--subnet <id>", self.subnets.is_empty()),
            ("--bucket <name>", self.bucket.is_none()),
            ("--source owner/name (or --module-source)", self.source.is_none() && self.module_source.is_none()),
            ("--source owner/name (or --binary-url)", self.source.is_none() && self.binary_url.is_none()),
            (
                "--runs-on <label> (this server has no hosted runners)",
                self.github() == GitHubKind::Server && self.runs_on.is_none(),
            ),
            ("--plane-path <path>", self.shape.as_deref() == Some("shared-plane") && self.plane_path.is_none()),
        ];
        needed.into_iter().filter(|(_, is_missing)| *is_missing).map(|(option, _)| option).collect()
    }

    /// What is wrong with values that no policy has; those of the policy are checked there.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut require = |option: &str, value: &Option<String>, check: fn(&str) -> bool, rule: &str| {
            if let Some(value) = value
                && !check(value)
            {
                let shown: String = value.chars().take(80).flat_map(char::escape_debug).collect();
                wrong.push(format!("{option}: \"{shown}\" is not {rule}"));
            }
        };
        require("--repository", &self.repository, is_pair, "owner/name");
        require("--source", &self.source, is_pair, "owner/name");
        require("--default-branch", &self.default_branch, is_branch, "a branch's name");
        let role = "a role's ARN such as arn:aws:iam::123456789012:role/runnersmith-plan";
        require("--plan-role-arn", &self.plan_role_arn, is_role, role);
        require("--apply-role-arn", &self.apply_role_arn, is_role, role);
        require("--platform-team", &self.platform_team, is_pair, "organisation/team");
        require("--binary-url", &self.binary_url, is_download, "an address that begins with https://");
        require("--binary-sha256", &self.binary_sha256, is_sha256, "64 hexadecimal digits");
        require(
            "--runs-on",
            &self.runs_on,
            |t| is_word(t, 64, "-_."),
            "one label of a hosted runner, such as ubuntu-latest",
        );
        if self.repository_id.is_some() != self.owner_id.is_some() {
            wrong.push("--repository-id and --owner-id: both are needed, or neither".to_owned());
        }
        if self.repository_id == Some(0) || self.owner_id == Some(0) {
            wrong.push("--repository-id and --owner-id: 0 is no number of GitHub's".to_owned());
        }
        if self.plan_role_arn.is_some() != self.apply_role_arn.is_some() {
            wrong.push("--plan-role-arn and --apply-role-arn: both are needed, or neither".to_owned());
        }
        if self.plan_role_arn.is_some() && self.plan_role_arn == self.apply_role_arn {
            wrong.push("--apply-role-arn: who plans and who applies must be two roles".to_owned());
        }
        wrong
    }

    pub(crate) fn branch(&self) -> &str {
        self.default_branch.as_deref().unwrap_or("main")
    }

    pub(crate) fn server(&self) -> &str {
        self.server_url.as_deref().unwrap_or("https://github.com")
    }

    /// Which GitHub it is.
    #[must_use]
    pub fn github(&self) -> GitHubKind {
        GitHubKind::of(self.server_url.as_deref())
    }

    /// Who makes the tokens of its jobs.
    pub(crate) fn token_issuer(&self) -> String {
        match self.github() {
            GitHubKind::DotCom => "https://token.actions.githubusercontent.com".to_owned(),
            GitHubKind::DataResidency(subdomain) => format!("https://token.actions.{subdomain}.ghe.com"),
            GitHubKind::Server => format!("{}/_services/token", self.server().trim_end_matches('/')),
        }
    }

    /// Where the module is, as an environment's folder says it.
    pub(crate) fn module(&self) -> String {
        let source = self.source.as_deref().unwrap_or_default();
        let release = || format!("git::https://github.com/{source}.git//terraform?ref=v{}", crate::VERSION);
        self.module_source.clone().unwrap_or_else(release)
    }

    /// Where the program is.
    pub(crate) fn binary(&self) -> String {
        let source = self.source.as_deref().unwrap_or_default();
        let version = crate::VERSION;
        let release = || format!("https://github.com/{source}/releases/download/v{version}/runnersmith-x86_64-linux");
        self.binary_url.clone().unwrap_or_else(release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_not_taken_over_to_another_version_or_file() {
        let earlier =
            Wishes { binary_sha256: Some("a".repeat(64)), repository: Some("a/b".into()), ..Wishes::default() };
        let same = Wishes::default().over(earlier.clone(), true);
        assert_eq!(same, earlier);
        assert_eq!(Wishes::default().over(earlier.clone(), false).binary_sha256, None);
        let other = Wishes { binary_url: Some("https://x/y".into()), ..Wishes::default() };
        assert_eq!(other.over(earlier, true).binary_sha256, None);
    }

    #[test]
    fn numbers_are_those_of_one_repository_and_its_spelling_is_githubs() {
        let known = Wishes {
            repository: Some("Acme/Runners".into()),
            repository_id: Some(7),
            owner_id: Some(8),
            ..Wishes::default()
        };
        let said = |name: &str| Wishes { repository: Some(name.to_owned()), ..Wishes::default() };
        assert_eq!(Wishes::default().over(known.clone(), true), known);
        assert_eq!(said("acme/runners").over(known.clone(), true), known);
        let other = said("acme/renamed").over(known, true);
        assert_eq!((other.repository_id, other.owner_id), (None, None));
        assert_eq!(other.repository.as_deref(), Some("acme/renamed"));
        let one = Wishes { repository_id: Some(7), ..Wishes::default() };
        assert!(one.wrong().iter().any(|wrong| wrong.contains("--owner-id")));
    }

    #[test]
    fn numbers_that_are_said_take_the_place_of_both_and_bring_their_spelling() {
        let with = |name: &str, repository: Option<u64>, owner: Option<u64>| Wishes {
            repository: Some(name.to_owned()),
            repository_id: repository,
            owner_id: owner,
            ..Wishes::default()
        };
        let ids = |wishes: &Wishes| (wishes.repository_id, wishes.owner_id);
        let known = with("Acme/Runners", Some(7), Some(8));
        // GitHub has the name in another case by now, and says so with the numbers.
        let renamed = with("acme/runners", Some(7), Some(8)).over(known.clone(), true);
        assert_eq!((renamed.repository.as_deref(), ids(&renamed)), (Some("acme/runners"), (Some(7), Some(8))));
        // Transferred: the same repository has another owner.
        let given = with("Acme/Runners", Some(7), Some(9)).over(known.clone(), true);
        assert_eq!(ids(&given), (Some(7), Some(9)));
        // One number alone is not completed from those of before, and is refused.
        let half = with("Acme/Runners", None, Some(9)).over(known.clone(), true);
        assert_eq!(ids(&half), (None, Some(9)));
        assert!(half.wrong().iter().any(|wrong| wrong.contains("both are needed")), "{:?}", half.wrong());
        for zero in [(Some(0), Some(8)), (Some(7), Some(0))] {
            let wrong = with("Acme/Runners", zero.0, zero.1).over(known.clone(), true).wrong();
            assert!(wrong.iter().any(|wrong| wrong.contains("0 is no number")), "{zero:?}: {wrong:?}");
        }
        assert_eq!(known.wrong(), Vec::<String>::new());
    }

    #[test]
    fn each_github_has_its_own_issuer_of_tokens() {
        for (server, issuer) in [
            (None, "https://token.actions.githubusercontent.com"),
            (Some("https://github.com/"), "https://token.actions.githubusercontent.com"),
            (Some("https://Acme.ghe.com"), "https://token.actions.acme.ghe.com"),
            (Some("https://github.example.com/"), "https://github.example.com/_services/token"),
            (Some("https://notghe.com"), "https://notghe.com/_services/token"),
        ] {
            let wishes = Wishes { server_url: server.map(str::to_owned), ..Wishes::default() };
            assert_eq!(wishes.token_issuer(), issuer);
        }
    }

    #[test]
    fn a_value_that_could_leave_its_place_is_refused() {
        let bad = |text: &str| {
            let text = Some(text.to_owned());
            let all = Wishes {
                repository: text.clone(),
                source: text.clone(),
                default_branch: text.clone(),
                plan_role_arn: text.clone(),
                platform_team: text.clone(),
                binary_url: text.clone(),
                binary_sha256: text.clone(),
                runs_on: text,
                ..Wishes::default()
            };
            all.wrong().len()
        };
        for text in ["", "a\nb", "a'b/c", "a\"/b", "${{ secrets.X }}", "$(id)", "../..", "a b"] {
            // One more: a plan role without an apply role.
            assert_eq!(bad(text), 9, "{text:?}");
        }
        assert!(
            is_role("arn:aws-us-gov:iam::123456789012:role/a/b") && is_pair("acme/runners") && is_branch("release/1")
        );
    }
}
