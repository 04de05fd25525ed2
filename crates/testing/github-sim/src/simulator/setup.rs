//! How tests set up a control repository: its people, its rules, who is subscribed, and what time it is.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::rules::people;
use crate::simulator::Simulator;
use crate::state::actor::Holder;
use crate::state::board::{BranchRules, Group};
use crate::state::setup::RepositorySetup;

impl Simulator {
    /// Shifts the clock of everything that is stamped from now on. Tokens and JWTs keep to the machine's clock.
    pub fn advance(&self, by: Duration) {
        self.world.lock().ahead_ms += i64::try_from(by.as_millis()).unwrap_or(0);
    }

    /// Gives an account a role in a repository: `admin`, `maintain`, `write`, `triage`, `read` or `none`. Without one it
    /// has `read` in a public repository and `none` in a private one.
    pub fn set_role(&self, repo: &str, login: &str, role: &str) {
        self.act(|state| {
            people::know(state, login);
            state.board.roles.insert((repo.to_owned(), login.to_lowercase()), role.to_owned());
        });
    }

    /// Gives an account another name: its number, its roles and what it wrote are its own as before, and the old name is free.
    pub fn rename_user(&self, login: &str, new: &str) {
        self.act(|state| {
            let account = state.owners.remove(login).unwrap_or_else(|| panic!("{login} is not known here"));
            state.owners.insert(new.to_owned(), account);
            let roles = std::mem::take(&mut state.board.roles);
            let renamed = |known: String| if known.eq_ignore_ascii_case(login) { new.to_lowercase() } else { known };
            state.board.roles = roles.into_iter().map(|((repo, known), role)| ((repo, renamed(known)), role)).collect();
            for issue in state.board.issues.values_mut() {
                let authors = issue.comments.iter_mut().map(|comment| &mut comment.author.login);
                let actors = issue.timeline.iter_mut().map(|item| &mut item.login);
                let names = authors.chain(&mut issue.edits).chain(actors).chain([&mut issue.author.login]);
                names.filter(|name| name.as_str() == login).for_each(|name| new.clone_into(name));
            }
        });
    }

    /// Adds a team; its members have accepted.
    pub fn add_team(&self, org: &str, slug: &str, members: &[&str]) {
        self.act(|state| {
            members.iter().for_each(|login| people::know(state, login));
            let members = members.iter().map(|login| (login.to_lowercase(), true)).collect();
            state.board.teams.insert((org.to_owned(), slug.to_owned()), members);
        });
    }

    /// Invites somebody to a team, who has not accepted yet.
    pub fn invite_to_team(&self, org: &str, slug: &str, login: &str) {
        self.act(|state| {
            people::know(state, login);
            let team = state.board.teams.entry((org.to_owned(), slug.to_owned())).or_default();
            team.insert(login.to_lowercase(), false);
        });
    }

    /// Adds a runner group: visible to `all`, `selected` (then these repositories) or `private` ones. Returns its number.
    #[must_use]
    pub fn add_group(
        &self,
        org: &str,
        name: &str,
        visibility: &str,
        repositories: &[&str],
        allows_public: bool,
    ) -> u64 {
        self.act(|state| {
            let id = state.id();
            let group = Group {
                org: org.to_owned(),
                name: name.to_owned(),
                visibility: visibility.to_owned(),
                repositories: repositories.iter().map(|name| (*name).to_owned()).collect(),
                allows_public,
                inherited: false,
            };
            state.board.groups.insert(id, group);
            id
        })
    }

    /// Makes a repository public.
    pub fn make_public(&self, repo: &str) {
        self.act(|state| state.board.settings(repo).public = true);
    }

    /// Allows squash merges only.
    pub fn allow_squash_only(&self, repo: &str) {
        self.act(|state| state.board.settings(repo).squash_only = true);
    }

    /// Switches "Allow GitHub Actions to create and approve pull requests" off.
    pub fn forbid_pulls_by_actions(&self, repo: &str) {
        self.act(|state| state.board.settings(repo).no_pulls_by_actions = true);
    }

    /// Whether a branch's pull requests need a review, which nobody here can give: the API refuses to merge them.
    pub fn protect(&self, repo: &str, branch: &str, required_reviews: bool) {
        self.act(|state| {
            let protected = &mut state.board.settings(repo).protected;
            if required_reviews {
                protected.insert(branch.to_owned())
            } else {
                protected.remove(branch)
            };
        });
    }

    /// What a ruleset says of the default branch.
    pub fn set_rules(&self, repo: &str, rules: BranchRules) {
        self.act(|state| state.board.settings(repo).rules = rules);
    }

    /// Changes what an admin sees on a repository's settings pages.
    pub fn set_up(&self, repo: &str, change: impl FnOnce(&mut RepositorySetup)) {
        self.act(|state| change(&mut state.board.settings(repo).setup));
    }

    /// Subscribes an App or a webhook to exactly these events. Before that it gets `workflow_job` alone.
    pub fn subscribe(&self, to: u64, events: &[&str]) {
        let events: BTreeSet<String> = events.iter().map(|event| (*event).to_owned()).collect();
        self.act(|state| state.board.subscriptions.insert(to, events));
    }

    /// A token with which a test calls as a person. It does not end.
    #[must_use]
    pub fn user_token(&self, login: &str) -> String {
        self.act(|state| {
            people::know(state, login);
            let token = state.token("ghp_");
            state.board.holders.insert(token.clone(), Holder::Person(login.to_owned()));
            token
        })
    }

    /// A workflow's own token in a repository. It acts as `github-actions[bot]` and may do nothing elsewhere.
    #[must_use]
    pub fn actions_token(&self, repo: &str) -> String {
        self.act(|state| {
            let token = state.token("ghs_");
            state.board.holders.insert(token.clone(), Holder::Actions(repo.to_owned()));
            token
        })
    }
}
