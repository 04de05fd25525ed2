//! GitHub's forms of what the control repository has, as far as they are read.

use runnersmith_ports::control::{Issue, IssueComment, MergeRules, Pull};
use serde::Deserialize;

use runnersmith_types::Account;

use crate::wire::{Named, WireAccount, timestamp};

/// How GitHub calls an account that is gone.
pub(crate) const GHOST: &str = "ghost";

#[derive(Deserialize)]
pub(crate) struct FullRepository {
    pub id: u64,
    pub full_name: String,
    pub owner: WireAccount,
    pub default_branch: String,
    #[serde(default)]
    pub private: bool,
    // `public`, `private` or `internal`; the last are `private` too.
    pub visibility: Option<String>,
    #[serde(default)]
    pub archived: bool,
    #[serde(default)]
    pub has_issues: bool,
    // GitHub shows both only to those who may write.
    pub allow_merge_commit: Option<bool>,
    pub allow_squash_merge: Option<bool>,
    pub allow_rebase_merge: Option<bool>,
}

impl FullRepository {
    /// How pull requests may be merged there; a merge commit first, because it keeps the commit that was approved.
    fn merge_methods(&self) -> Vec<&'static str> {
        let may = |allowed: Option<bool>, method| allowed.unwrap_or(true).then_some(method);
        let methods = [
            may(self.allow_merge_commit, "merge"),
            may(self.allow_squash_merge, "squash"),
            may(self.allow_rebase_merge, "rebase"),
        ];
        methods.into_iter().flatten().collect()
    }

    /// What repository and branch say together.
    pub fn merge_rules(&self, rules: Vec<BranchRule>) -> MergeRules {
        let mut found = MergeRules { methods: self.merge_methods(), ..MergeRules::default() };
        for BranchRule { kind, parameters, .. } in rules {
            match kind.as_str() {
                "required_linear_history" => found.methods.retain(|method| *method != "merge"),
                "merge_queue" => found.needs_queue = true,
                _ => {}
            }
            if let Some(allowed) = parameters.allowed_merge_methods {
                found.methods.retain(|method| allowed.iter().any(|one| one == method));
            }
            found.required_checks.extend(parameters.required_status_checks.into_iter().map(|check| check.context));
        }
        found
    }
}

/// A rule of a branch, as far as it is about merging.
#[derive(Clone, Deserialize)]
pub(crate) struct BranchRule {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    parameters: RuleParameters,
    /// The ruleset that it is of.
    pub ruleset_id: Option<u64>,
}

impl BranchRule {
    /// GitHub's word for what it is.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What it asks of reviews.
    pub const fn reviews(&self) -> &RuleParameters {
        &self.parameters
    }
}

#[derive(Clone, Default, Deserialize)]
pub(crate) struct RuleParameters {
    #[serde(default)]
    pub dismiss_stale_reviews_on_push: bool,
    #[serde(default)]
    pub require_code_owner_review: bool,
    #[serde(default)]
    pub require_last_push_approval: bool,
    #[serde(default)]
    pub required_approving_review_count: u64,
    allowed_merge_methods: Option<Vec<String>>,
    #[serde(default)]
    required_status_checks: Vec<RequiredCheck>,
}

#[derive(Clone, Deserialize)]
struct RequiredCheck {
    context: String,
}

#[derive(Deserialize)]
pub(crate) struct Sha {
    pub sha: String,
}

#[derive(Deserialize)]
pub(crate) struct Ref {
    pub object: Sha,
}

#[derive(Deserialize)]
pub(crate) struct Tree {
    pub tree: Vec<TreeEntry>,
    #[serde(default)]
    pub truncated: bool,
}

#[derive(Deserialize)]
pub(crate) struct TreeEntry {
    pub path: String,
    pub mode: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub sha: String,
}

#[derive(Deserialize)]
pub(crate) struct Blob {
    pub content: String,
    pub encoding: String,
}

#[derive(Deserialize)]
pub(crate) struct GitCommit {
    pub tree: Sha,
}

#[derive(Deserialize)]
pub(crate) struct Comparison {
    pub merge_base_commit: Sha,
    pub total_commits: u64,
    pub commits: Vec<ComparedCommit>,
}

#[derive(Deserialize)]
pub(crate) struct ComparedCommit {
    pub sha: String,
    // Null, or an empty object, when no account has the address.
    pub author: Option<WireAccount>,
    pub committer: Option<WireAccount>,
}

/// An account. The login of a bot has brackets that no person's has; where GitHub leaves them out, its type says what it is.
pub(crate) fn account(found: Option<WireAccount>) -> Option<Account> {
    let WireAccount { id, kind, login } = found.filter(|found| !found.login.is_empty())?;
    let is_bare = kind == "Bot" && !login.ends_with("[bot]");
    Some(Account::new(if is_bare { format!("{login}[bot]") } else { login }, id))
}

#[derive(Deserialize)]
pub(crate) struct WireIssue {
    pub number: u64,
    #[serde(default)]
    repository_url: String,
    title: String,
    body: Option<String>,
    #[serde(default)]
    labels: Vec<Named>,
    user: Option<WireAccount>,
    state: String,
    pull_request: Option<serde::de::IgnoredAny>,
}

impl WireIssue {
    /// The repository that it is in, `owner/name`.
    pub fn repository(&self) -> Option<&str> {
        self.repository_url.split_once("/repos/").map(|(_, name)| name)
    }
}

impl From<WireIssue> for Issue {
    fn from(found: WireIssue) -> Self {
        Self {
            number: found.number,
            title: found.title,
            body: found.body.unwrap_or_default(),
            labels: found.labels.into_iter().map(|label| label.name).collect(),
            author: account(found.user).unwrap_or_else(|| GHOST.into()),
            is_open: found.state == "open",
            is_pull: found.pull_request.is_some(),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct WireComment {
    id: u64,
    #[serde(default)]
    node_id: String,
    body: Option<String>,
    user: Option<WireAccount>,
    issue_url: String,
    created_at: String,
    updated_at: String,
    performed_via_github_app: Option<serde::de::IgnoredAny>,
}

impl WireComment {
    /// `None` when a date or the issue's address is invalid.
    pub fn read(self) -> Option<IssueComment> {
        Some(IssueComment {
            id: self.id,
            node_id: self.node_id,
            issue: self.issue_url.rsplit('/').next()?.parse().ok()?,
            body: self.body.unwrap_or_default(),
            is_person: self.performed_via_github_app.is_none()
                && self.user.as_ref().is_some_and(|user| user.kind == "User"),
            author: account(self.user).unwrap_or_else(|| GHOST.into()),
            created_at: timestamp(Some(&self.created_at))?,
            updated_at: timestamp(Some(&self.updated_at))?,
        })
    }
}

#[derive(Deserialize)]
pub(crate) struct WirePull {
    pub number: u64,
    state: String,
    #[serde(default)]
    merged: bool,
    pub head: Side,
    base: Side,
    mergeable: Option<bool>,
    #[serde(default)]
    mergeable_state: String,
}

#[derive(Deserialize)]
pub(crate) struct Side {
    #[serde(rename = "ref")]
    pub branch: String,
    sha: String,
    // Null when that repository was deleted.
    pub repo: Option<NamedRepository>,
}

#[derive(Deserialize)]
pub(crate) struct NamedRepository {
    pub full_name: String,
}

impl WirePull {
    /// Whether its branch is somewhere else than in this repository.
    pub fn is_fork_of(&self, repo: &str) -> bool {
        self.head.repo.as_ref().is_none_or(|head| !head.full_name.eq_ignore_ascii_case(repo))
    }

    pub fn read(self, repo: &str) -> Pull {
        Pull {
            number: self.number,
            is_open: self.state == "open",
            is_merged: self.merged,
            is_fork: self.is_fork_of(repo),
            head_branch: self.head.branch,
            head: self.head.sha,
            base_branch: self.base.branch,
            mergeable: self.mergeable,
            mergeable_state: if self.mergeable_state.is_empty() { "unknown".into() } else { self.mergeable_state },
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Permission {
    pub permission: String,
    // Servers of one's own had no role names before 3.4.
    pub role_name: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Membership {
    pub state: String,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn comment(user: &Value, app: &Value) -> IssueComment {
        let comment = json!({
            "id": 1, "body": null, "user": user, "issue_url": "https://api.github.com/repos/o/r/issues/7",
            "created_at": "2026-11-24T03:00:00Z", "updated_at": "2026-11-24T03:00:01Z", "performed_via_github_app": app,
        });
        serde_json::from_value::<WireComment>(comment).unwrap().read().unwrap()
    }

    #[test]
    fn a_person_is_an_account_of_a_person_that_no_app_spoke_for() {
        let person = json!({"login": "octocat", "id": 583_231, "type": "User"});
        let found = comment(&person, &Value::Null);
        assert!(
            found.is_person
                && found.author == Account::new("octocat", 583_231)
                && found.issue == 7
                && found.body.is_empty()
        );
        assert!(!comment(&person, &json!({"id": 1, "slug": "some-app"})).is_person, "an App that acts for somebody");
        assert!(!comment(&json!({"login": "app[bot]", "type": "Bot"}), &Value::Null).is_person);
        assert!(!comment(&json!({"login": "o", "type": "Organization"}), &Value::Null).is_person);
        let gone = comment(&Value::Null, &Value::Null);
        assert!(!gone.is_person && gone.author == Account::from("ghost"));
    }

    /// GitHub gives some Apps' accounts a login without the brackets that set bots apart from people.
    #[test]
    fn a_bot_is_one_by_its_type_whatever_its_login_is() {
        let of = |found: Value| account(Some(serde_json::from_value(found).unwrap())).unwrap();
        let bot = of(json!({"login": "Copilot", "id": 198_982_749, "type": "Bot"}));
        assert!(bot.is_bot() && bot == Account::new("Copilot[bot]", 198_982_749), "{bot:?}");
        assert_eq!(of(json!({"login": "app[bot]", "id": 2, "type": "Bot"})), Account::new("app[bot]", 2));
        assert!(!of(json!({"login": "copilot", "id": 3, "type": "User"})).is_bot());
    }

    #[test]
    fn the_merge_method_is_one_that_repository_and_branch_allow() {
        let methods = |merge: Option<bool>, squash: Option<bool>, rules: Value| {
            let found = serde_json::from_value::<FullRepository>(json!({
                "id": 1, "full_name": "o/r", "owner": {"login": "o", "id": 2, "type": "Organization"}, "default_branch": "main",
                "allow_merge_commit": merge, "allow_squash_merge": squash,
            }));
            found.unwrap().merge_rules(serde_json::from_value(rules).unwrap())
        };
        for (merge, squash, all) in [
            (None, None, &["merge", "squash", "rebase"][..]),
            (Some(false), Some(true), &["squash", "rebase"]),
            (Some(false), Some(false), &["rebase"]),
        ] {
            assert_eq!(methods(merge, squash, json!([])).methods, all);
        }
        let linear = json!({"type": "required_linear_history"});
        assert_eq!(methods(None, None, json!([linear])).methods, ["squash", "rebase"]);
        let only = |allowed: &[&str]| json!({"type": "pull_request", "parameters": {"allowed_merge_methods": allowed}});
        assert_eq!(methods(None, None, json!([only(&["rebase", "merge"]), linear])).methods, ["rebase"]);
        assert!(methods(None, None, json!([only(&["merge"]), linear])).methods.is_empty());
        let more = json!([
            {"type": "merge_queue", "parameters": {"merge_method": "MERGE"}},
            {"type": "required_status_checks", "parameters": {"required_status_checks": [{"context": "ci"}]}},
            {"type": "creation"},
        ]);
        let found = methods(None, None, more);
        assert!(found.needs_queue && found.required_checks == ["ci"] && found.methods[0] == "merge");
    }
}
