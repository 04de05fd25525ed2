//! What Apps and their installations may do, and which events they get.

use crate::state::State;
use crate::state::apps::{Known, Permissions};

/// What a webhook sends that was set up by a test.
pub(crate) fn every() -> (Vec<String>, bool) {
    (vec!["*".into()], true)
}

/// Whether deliveries of an event go to this App or webhook.
pub(crate) fn listens(state: &State, of: u64, event: &str) -> bool {
    if let Some(events) = state.board.subscriptions.get(&of) {
        return events.contains(event);
    }
    let sends = |events: &[String]| events.iter().any(|own| own == event || own == "*");
    match (state.registry.apps.get(&of), state.registry.hooks.get(&of)) {
        (Some(app), _) => app.active && sends(&app.events),
        (None, Some((events, active))) => *active && sends(events),
        // What a test has set up by hand gets jobs, unless it says more.
        (None, None) => matches!(event, "workflow_job" | "check_run"),
    }
}

/// What an App asks for, and the events that it is subscribed to.
pub(crate) fn of_app(state: &State, app: u64) -> (Permissions, Vec<String>) {
    if let Some(known) = state.registry.apps.get(&app) {
        return (known.permissions.clone(), known.events.clone());
    }
    let usual = [
        ("actions", "read"),
        ("checks", "write"),
        ("metadata", "read"),
        ("organization_hooks", "write"),
        ("organization_self_hosted_runners", "write"),
    ];
    let permissions = usual.into_iter().map(|(name, word)| (name.to_owned(), word.to_owned())).collect();
    let subscribed = state.board.subscriptions.get(&app).map(|events| events.iter().cloned().collect());
    (permissions, subscribed.unwrap_or_else(|| vec!["workflow_job".to_owned()]))
}

/// What an installation may do.
pub(crate) fn of_installation(state: &State, installation: u64) -> Option<(Permissions, Vec<String>)> {
    let (app, _) = state.installations.get(&installation)?;
    Some(state.registry.lagging.get(&installation).cloned().unwrap_or_else(|| of_app(state, *app)))
}

/// The App's name, owner and home page, if it was made from a manifest.
pub(crate) fn card(state: &State, app: u64) -> Option<(String, String, String)> {
    state.registry.apps.get(&app).map(|known| (known.name.clone(), known.owner.clone(), known.url.clone()))
}

/// Changes what an App asks for. Its installations keep what they may do until an owner accepts.
pub(crate) fn change(state: &mut State, app: u64, permissions: &[(&str, &str)], events: &[&str]) {
    let ids = state.installations.iter().filter(|(_, (of, _))| *of == app).map(|(id, _)| *id);
    for id in ids.collect::<Vec<_>>() {
        if let Some(now) = of_installation(state, id) {
            state.registry.lagging.insert(id, now);
        }
    }
    let slug = state.apps.get(&app).map(|found| found.app.slug.clone()).unwrap_or_default();
    let url = format!("{}/", state.base);
    let known = state.registry.apps.entry(app).or_insert_with(|| Known {
        name: slug,
        owner: state.owners.keys().next().cloned().unwrap_or_default(),
        url,
        permissions: Permissions::new(),
        events: Vec::new(),
        silent_url: None,
        active: true,
    });
    known.permissions = permissions.iter().map(|(name, word)| ((*name).to_owned(), (*word).to_owned())).collect();
    known.events = events.iter().map(|event| (*event).to_owned()).collect();
}

/// An owner accepts what the App asks for.
pub(crate) fn accept(state: &mut State, owner: &str) {
    let ids = state.installations.iter().filter(|(_, (_, at))| at == owner).map(|(id, _)| *id);
    for id in ids.collect::<Vec<_>>() {
        state.registry.lagging.remove(&id);
    }
}
