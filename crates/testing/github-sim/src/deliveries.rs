//! Signed webhook deliveries of Apps, organisations and repositories, and their logs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::faults::Faults;
use crate::keys;
use crate::rules::apps;
use crate::state::apps::Delivery;
use crate::state::{State, World};

/// GitHub gives up after ten seconds.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends an event of a repository to every App that is installed for its owner, and to the webhooks of owner and repository.
pub(crate) fn broadcast(state: &mut State, repository: &str, event: &str, action: &str, payload: &Value) {
    let owner = repository.split('/').next().unwrap_or_default();
    let installed = state.installations.iter().filter(|(_, (_, at))| *at == owner);
    let installed = installed.map(|(id, (app, _))| (*app, Some(*id)));
    let hooks = state.hooks.iter().filter(|(_, hook)| hook.scope == owner || hook.scope == repository);
    let all: Vec<(u64, Option<u64>)> = installed.chain(hooks.map(|(id, _)| (*id, None))).collect();
    for (of, installation) in all {
        if !apps::listens(state, of, event) {
            continue;
        }
        let mut payload = payload.clone();
        // Only an App's deliveries name an installation.
        if let Some(installation) = installation {
            let number = state.faults.wrong_installation.unwrap_or(installation);
            payload["installation"] = json!({"id": number, "node_id": format!("I_{number}")});
        }
        let doubled = Faults::take(&mut state.faults.double_deliveries);
        let guid = guid(state);
        send(state, of, event, action, &payload, guid.clone());
        if doubled {
            send(state, of, event, action, &payload, guid);
        }
    }
}

fn guid(state: &mut State) -> String {
    let (a, b) = (state.id(), state.random);
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        a & 0xffff_ffff,
        b & 0xffff,
        (b >> 16) & 0xfff,
        (b >> 28) & 0xfff,
        a ^ (b >> 16) & 0xffff_ffff_ffff
    )
}

fn send(state: &mut State, of: u64, event: &str, action: &str, payload: &Value, guid: String) {
    if !state.hooks.contains_key(&of) && state.apps.get(&of).is_none_or(|app| app.webhook_url.is_none()) {
        return;
    }
    if Faults::take(&mut state.faults.forget_deliveries) {
        return;
    }
    let id = state.id();
    let lost = Faults::take(&mut state.faults.lose_deliveries);
    let delivery = Delivery {
        id,
        guid,
        event: event.to_owned(),
        action: action.to_owned(),
        at_ms: state.now_ms(),
        status: if lost { 504 } else { 0 },
        redelivery: false,
        of,
        body: payload.to_string(),
    };
    state.log(delivery);
    if !lost {
        state.outbox.push(id);
    }
}

/// Sends what was queued. Called after the lock is released.
pub(crate) fn flush(world: &std::sync::Arc<World>) {
    let ids: Vec<u64> = world.lock().outbox.drain(..).collect();
    for id in ids {
        let world = world.clone();
        tokio::spawn(async move { deliver(&world, id).await });
    }
}

/// Puts a delivery of the log under way again. Returns whether it is known.
pub(crate) fn redeliver(state: &mut State, id: u64) -> bool {
    let Some(position) = state.deliveries.iter().position(|delivery| delivery.id == id) else { return false };
    let new = state.id();
    let old = &state.deliveries[position];
    let delivery = Delivery {
        id: new,
        guid: old.guid.clone(),
        event: old.event.clone(),
        action: old.action.clone(),
        at_ms: state.now_ms(),
        status: 0,
        redelivery: true,
        of: old.of,
        body: old.body.clone(),
    };
    state.log(delivery);
    state.outbox.push(new);
    true
}

async fn deliver(world: &World, id: u64) {
    let (request, delay) = {
        let state = world.lock();
        let Some(delivery) = state.deliveries.iter().rev().find(|delivery| delivery.id == id) else { return };
        let (url, secret, kind) = match (state.apps.get(&delivery.of), state.hooks.get(&delivery.of)) {
            (Some(app), _) => (app.webhook_url.clone(), &app.app.webhook_secret, "integration"),
            (None, Some(hook)) if hook.scope.contains('/') => (Some(hook.url.clone()), &hook.secret, "repository"),
            (None, Some(hook)) => (Some(hook.url.clone()), &hook.secret, "organization"),
            (None, None) => return,
        };
        let Some(url) = url else { return };
        let body = delivery.body.clone();
        let request = client()
            .post(url)
            .timeout(TIMEOUT)
            .header("Content-Type", "application/json")
            .header("User-Agent", "GitHub-Hookshot/simulated")
            .header("X-GitHub-Event", &delivery.event)
            .header("X-GitHub-Delivery", &delivery.guid)
            .header("X-GitHub-Hook-ID", delivery.of.to_string())
            .header("X-GitHub-Hook-Installation-Target-Type", kind)
            .header("X-GitHub-Hook-Installation-Target-ID", delivery.of.to_string())
            .header(
                "X-Hub-Signature-256",
                format!("sha256={}", keys::hmac(secret, body.as_bytes(), ring::hmac::HMAC_SHA256)),
            )
            .header(
                "X-Hub-Signature",
                format!("sha1={}", keys::hmac(secret, body.as_bytes(), ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY)),
            )
            .body(body);
        let random = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let overtaken = random.checked_rem(state.faults.reorder_deliveries_ms).unwrap_or(0);
        (request, state.faults.delay_deliveries_ms + overtaken)
    };
    tokio::time::sleep(Duration::from_millis(delay)).await;
    let status = request.send().await.map_or(502, |answer| answer.status().as_u16());
    if let Some(delivery) = world.lock().deliveries.iter_mut().rev().find(|delivery| delivery.id == id) {
        delivery.status = status;
    }
}

fn client() -> reqwest::Client {
    static CLIENT: std::sync::OnceLock<reqwest::Client> = std::sync::OnceLock::new();
    CLIENT
        .get_or_init(|| {
            // Deliveries go to loopback without TLS, but the client wants a provider.
            let _ = rustls::crypto::ring::default_provider().install_default();
            reqwest::Client::builder().no_proxy().build().unwrap_or_default()
        })
        .clone()
}
