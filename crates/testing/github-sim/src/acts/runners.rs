//! Registrations of runners.

use crate::state::State;
use crate::state::runs::Runner;
use crate::time;

/// Adds a registration. Returns its number and the key of its sessions.
pub(crate) fn add(
    state: &mut State,
    name: String,
    scope: String,
    labels: Vec<String>,
    ephemeral: bool,
    group: u64,
) -> (u64, String) {
    let (id, key) = (state.id(), state.token("key-"));
    let runner = Runner {
        id,
        name,
        scope,
        labels,
        ephemeral,
        key: key.clone(),
        group,
        session: None,
        seen_ms: time::now_ms(),
        job: None,
    };
    state.runners.insert(id, runner);
    (id, key)
}
