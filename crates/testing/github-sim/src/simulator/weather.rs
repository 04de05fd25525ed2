//! What goes on around an App at GitHub: limits, suspended installations, what an enterprise hands down, another fleet.

use std::time::Duration;

use crate::acts::runners;
use crate::simulator::Simulator;
use crate::state::State;
use crate::state::board::{DEFAULT_GROUP, Group};
use crate::state::limits::Payer;

/// The installations at an owner.
fn installations(state: &State, owner: &str) -> Vec<u64> {
    let found = state.installations.iter().filter(|(_, (_, at))| at == owner).map(|(id, _)| *id).collect::<Vec<_>>();
    assert!(!found.is_empty(), "no App is installed for {owner}");
    found
}

impl Simulator {
    /// The installations at an owner may make `limit` calls in the hour that begins now, and have made `used` of them.
    pub fn set_limit(&self, owner: &str, limit: u64, used: u64) {
        self.act(|state| {
            let now = state.now_ms();
            for id in installations(state, owner) {
                state.limits.set(Payer::Installation(id), limit, used, now);
            }
        });
    }

    /// The same for calls with the JWT of an App.
    pub fn set_app_limit(&self, app: u64, limit: u64, used: u64) {
        self.act(|state| {
            let now = state.now_ms();
            state.limits.set(Payer::App(app), limit, used, now);
        });
    }

    /// The installations at an owner may create so much content (issues, comments, pull requests, check runs) in a minute.
    pub fn set_content_limit(&self, owner: &str, per_minute: u64) {
        self.act(|state| {
            let now = state.now_ms();
            for id in installations(state, owner) {
                state.limits.set_content(Payer::Installation(id), per_minute, now);
            }
        });
    }

    /// A secondary limit holds for an owner's installations: their calls are answered `status` (403 or 429) with `Retry-After`.
    pub fn block(&self, owner: &str, how_long: Duration, status: u16, content_alone: bool) {
        self.act(|state| {
            let until = state.now_ms() + i64::try_from(how_long.as_millis()).unwrap_or(0);
            for id in installations(state, owner) {
                state.limits.block(Payer::Installation(id), until, status, content_alone);
            }
        });
    }

    /// An owner suspends what is installed there, or lets it go on.
    pub fn suspend(&self, owner: &str, is_suspended: bool) {
        self.act(|state| {
            for id in installations(state, owner) {
                if is_suspended {
                    state.suspended.insert(id);
                } else {
                    state.suspended.remove(&id);
                }
            }
        });
    }

    /// Adds a runner group that an organisation has from its enterprise. Returns its number.
    #[must_use]
    pub fn add_inherited_group(&self, org: &str, name: &str) -> u64 {
        self.act(|state| {
            let id = state.id();
            let group = Group {
                org: org.to_owned(),
                name: name.to_owned(),
                visibility: "all".into(),
                repositories: Vec::new(),
                allows_public: true,
                inherited: true,
            };
            state.board.groups.insert(id, group);
            id
        })
    }

    /// Gives the group that a place has from the beginning another name.
    pub fn rename_default_group(&self, place: &str, name: &str) {
        self.act(|state| state.board.default_groups.insert(place.to_owned(), name.to_owned()));
    }

    /// Adds a runner of somebody else's fleet to an organisation or a repository. It takes no jobs. Returns its number.
    #[must_use]
    pub fn add_foreign_runner(&self, scope: &str, name: &str, labels: &[&str], is_online: bool) -> u64 {
        self.act(|state| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            let (id, _) = runners::add(state, name.to_owned(), scope.to_owned(), labels, false, DEFAULT_GROUP);
            if let Some(runner) = state.runners.get_mut(&id).filter(|_| is_online) {
                // It is never silent.
                (runner.session, runner.seen_ms) = (Some("foreign".into()), i64::MAX / 2);
            }
            id
        })
    }
}
