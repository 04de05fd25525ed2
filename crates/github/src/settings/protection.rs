//! What protects a branch, and who may go around it. Rulesets and classic protection are two things at GitHub that hold together: each is
//! kept with who it does not bind, because a rule that a writer may pass protects nothing.

use std::collections::BTreeMap;

use runnersmith_ports::GitHubError;
use serde::Deserialize;

use crate::control::{ControlClient, escape};
use crate::control_wire::BranchRule;
use crate::operations as op;

/// What protects a branch: rulesets and classic protection together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProtectionView {
    /// Ways of merging that repository and rules allow.
    pub methods: Vec<String>,
    /// What rulesets and classic protection say, each for itself.
    pub sources: Vec<ProtectionSource>,
    /// With so many approvals.
    pub approvals: u64,
    /// Somebody else than who pushed last must approve.
    pub needs_last_push_approval: bool,
    /// Checks that must have passed. Foreign text.
    pub checks: Vec<String>,
    /// Everything goes through a merge queue.
    pub needs_queue: bool,
    /// There is classic protection, and who asks may not read it: what is not said above may be said by it.
    pub unread: Option<String>,
}

/// A part of what protects a branch, all of which the same people may go around.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent rules, each there or not")]
pub struct ProtectionSource {
    /// Changes come by pull requests.
    pub needs_pull: bool,
    /// With the review of code owners.
    pub needs_code_owners: bool,
    /// A push takes earlier reviews away.
    pub dismisses_stale: bool,
    /// It is not rewritten.
    pub refuses_force_pushes: bool,
    /// It is not deleted.
    pub refuses_deletion: bool,
    /// Who may go around it, or why that is not known.
    pub bypass: Result<Vec<BypassView>, String>,
}

/// Somebody whom a rule does not bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BypassView {
    /// Who, in words; it may hold foreign text.
    pub who: String,
    /// They may change the rule too.
    pub is_admin: bool,
}

#[derive(Deserialize)]
struct WireBranch {
    protected: bool,
}

#[derive(Deserialize)]
struct Ruleset {
    // Shown to who may change the ruleset alone.
    bypass_actors: Option<Vec<BypassActor>>,
}

#[derive(Deserialize)]
struct BypassActor {
    actor_id: Option<u64>,
    actor_type: String,
    #[serde(default)]
    bypass_mode: String,
}

/// The number of the role "admin" among GitHub's own roles of a repository.
const ADMIN_ROLE: u64 = 5;

impl BypassActor {
    fn view(&self) -> BypassView {
        let number = self.actor_id.map_or_else(String::new, |id| format!(" {id}"));
        let (who, is_admin) = match (self.actor_type.as_str(), self.actor_id) {
            ("OrganizationAdmin", _) => ("owners of the organisation".to_owned(), true),
            ("EnterpriseOwner", _) => ("owners of the enterprise".to_owned(), true),
            ("RepositoryRole", Some(ADMIN_ROLE)) => ("admins of the repository".to_owned(), true),
            ("RepositoryRole", _) => (format!("role{number}"), false),
            ("Team", _) => (format!("team{number}"), false),
            ("Integration", _) => (format!("App{number}"), false),
            ("DeployKey", _) => ("deploy keys".to_owned(), false),
            (other, _) => (format!("{other}{number}"), false),
        };
        BypassView { who, is_admin }
    }

    /// By merging a pull request alone: they go around reviews, and push nothing.
    fn is_for_pulls(&self) -> bool {
        self.bypass_mode == "pull_request"
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Classic {
    required_pull_request_reviews: Option<Reviews>,
    required_status_checks: Option<Checks>,
    enforce_admins: Switch,
    allow_force_pushes: Switch,
    allow_deletions: Switch,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reviews {
    dismiss_stale_reviews: bool,
    require_code_owner_reviews: bool,
    required_approving_review_count: u64,
    require_last_push_approval: bool,
    bypass_pull_request_allowances: Allowances,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Allowances {
    users: Vec<Account>,
    teams: Vec<Slug>,
    apps: Vec<Slug>,
}

#[derive(Deserialize)]
struct Account {
    login: String,
}

#[derive(Deserialize)]
struct Slug {
    slug: String,
}

impl Allowances {
    fn views(self) -> impl Iterator<Item = BypassView> {
        let users = self.users.into_iter().map(|user| user.login);
        let teams = self.teams.into_iter().map(|team| format!("team {}", team.slug));
        let apps = self.apps.into_iter().map(|app| format!("App {}", app.slug));
        users.chain(teams).chain(apps).map(|who| BypassView { who, is_admin: false })
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Checks {
    contexts: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Switch {
    enabled: bool,
}

impl ProtectionSource {
    const fn new(bypass: Result<Vec<BypassView>, String>) -> Self {
        Self {
            needs_pull: false,
            needs_code_owners: false,
            dismisses_stale: false,
            refuses_force_pushes: false,
            refuses_deletion: false,
            bypass,
        }
    }
}

impl ProtectionView {
    /// The rules of one ruleset. Who goes around reviews alone is no exception of the others.
    fn add_rules(&mut self, rules: &[BranchRule], actors: Result<Vec<BypassActor>, String>) {
        let views = |of_all: bool| {
            let counts = |actor: &&BypassActor| of_all || !actor.is_for_pulls();
            let actors = actors.as_ref().map_err(Clone::clone)?;
            Ok(actors.iter().filter(counts).map(BypassActor::view).collect())
        };
        let (mut pushes, mut reviews) = (ProtectionSource::new(views(false)), ProtectionSource::new(views(true)));
        for rule in rules {
            match rule.kind() {
                "pull_request" => pushes.needs_pull = true,
                "non_fast_forward" => pushes.refuses_force_pushes = true,
                "deletion" => pushes.refuses_deletion = true,
                "merge_queue" => self.needs_queue = true,
                _ => {}
            }
            let found = rule.reviews();
            reviews.needs_code_owners |= found.require_code_owner_review;
            reviews.dismisses_stale |= found.dismiss_stale_reviews_on_push;
            self.approvals = self.approvals.max(found.required_approving_review_count);
            self.needs_last_push_approval |= found.require_last_push_approval;
        }
        self.sources.extend([pushes, reviews]);
    }

    fn add_classic(&mut self, found: Classic) {
        let admins = BypassView { who: "admins of the repository".to_owned(), is_admin: true };
        let admins: Vec<BypassView> = (!found.enforce_admins.enabled).then_some(admins).into_iter().collect();
        if let Some(reviews) = found.required_pull_request_reviews {
            let allowed = admins.iter().cloned().chain(reviews.bypass_pull_request_allowances.views()).collect();
            self.sources.push(ProtectionSource {
                needs_pull: true,
                needs_code_owners: reviews.require_code_owner_reviews,
                dismisses_stale: reviews.dismiss_stale_reviews,
                ..ProtectionSource::new(Ok(allowed))
            });
            self.approvals = self.approvals.max(reviews.required_approving_review_count);
            self.needs_last_push_approval |= reviews.require_last_push_approval;
        }
        self.checks.extend(found.required_status_checks.into_iter().flat_map(|checks| checks.contexts));
        self.sources.push(ProtectionSource {
            refuses_force_pushes: !found.allow_force_pushes.enabled,
            refuses_deletion: !found.allow_deletions.enabled,
            ..ProtectionSource::new(Ok(admins))
        });
    }
}

impl ControlClient {
    /// What protects a branch. Classic protection is not among the rules of a branch, and is shown to admins only, as those are whom a
    /// ruleset does not bind: what is there and could not be read is said in the answer.
    ///
    /// # Errors
    /// As any call.
    pub async fn protection(&self, branch: &str) -> Result<ProtectionView, GitHubError> {
        let rules = self.rules_of(branch).await?;
        let mut view = ProtectionView::default();
        let mut rulesets: BTreeMap<Option<u64>, Vec<BranchRule>> = BTreeMap::new();
        for rule in &rules {
            rulesets.entry(rule.ruleset_id).or_default().push(rule.clone());
        }
        for (ruleset, rules) in rulesets {
            let actors = self.bypass_actors(ruleset).await;
            view.add_rules(&rules, actors);
        }
        let merging = self.repository().await?.merge_rules(rules);
        view.methods = merging.methods.into_iter().map(str::to_owned).collect();
        view.checks = merging.required_checks;
        let (rest, subject) = (format!("/branches/{}", escape(branch)), self.subject("branch", branch));
        let found: WireBranch = self.read(op::BRANCH, &rest, &subject).await?;
        if found.protected {
            let classic = self.read::<Classic>(op::BRANCH_PROTECTION, &format!("{rest}/protection"), &subject).await;
            match classic {
                Ok(classic) => view.add_classic(classic),
                // "Branch not protected": rulesets alone protect it. Who may not ask is answered by another 404.
                Err(GitHubError::Refused { status: 404, .. }) => {}
                Err(
                    error @ (GitHubError::NotFound { .. }
                    | GitHubError::Unauthorized { .. }
                    | GitHubError::Refused { .. }),
                ) => view.unread = Some(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(view)
    }

    /// Whom a ruleset does not bind, or why that is not known. A ruleset of the organisation is asked for by the repository too.
    async fn bypass_actors(&self, ruleset: Option<u64>) -> Result<Vec<BypassActor>, String> {
        let id = ruleset.ok_or_else(|| "GitHub does not say which ruleset it is of".to_owned())?;
        let found = self.read::<Ruleset>(op::RULESET, &format!("/rulesets/{id}"), &self.subject("ruleset", id)).await;
        let actors = found.map_err(|error| error.to_string())?.bypass_actors;
        actors.ok_or_else(|| "who may bypass a ruleset is shown only to who may change it".to_owned())
    }
}
