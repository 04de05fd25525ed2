//! The runner's side: a protocol of our own for the fake runner, under `/_runner`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::acts::jobs::{assign, complete};
use crate::acts::runners;
use crate::deliveries;
use crate::http::answer::Answer;
use crate::rules::jobs;
use crate::state::{State, World};
use crate::time;

pub(crate) async fn handle(world: &Arc<World>, what: &str, body: Value) -> Answer {
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    match what {
        "register" => register(&mut world.lock(), &body),
        "remove" => {
            let mut state = world.lock();
            let name = text("name");
            state.runners.retain(|_, runner| runner.name != name);
            Answer::empty(204)
        }
        "session" => session(world, &body),
        "poll" => {
            poll(world, &text("session"), body.get("wait_ms").and_then(Value::as_u64).unwrap_or(0).min(30_000)).await
        }
        "complete" => {
            let mut state = world.lock();
            let Some(id) = by_session(&state, &text("session")) else { return Answer::message(404, "no such session") };
            let job = body.get("job_id").and_then(Value::as_u64).unwrap_or(0);
            if state.runners.get(&id).and_then(|runner| runner.job) != Some(job) {
                return Answer::message(409, "the runner does not have that job");
            }
            complete(&mut state, job, &text("conclusion"));
            drop(state);
            world.changed.notify_waiters();
            Answer::json(200, json!({}))
        }
        "end" => {
            let mut state = world.lock();
            if let Some(id) = by_session(&state, &text("session"))
                && let Some(runner) = state.runners.get_mut(&id)
            {
                runner.session = None;
                if let Some(job) = runner.job {
                    complete(&mut state, job, "failure");
                }
            }
            Answer::json(200, json!({}))
        }
        _ => Answer::message(404, "no such call"),
    }
}

fn by_session(state: &State, session: &str) -> Option<u64> {
    state.runners.values().find(|runner| runner.session.as_deref() == Some(session)).map(|runner| runner.id)
}

fn register(state: &mut State, body: &Value) -> Answer {
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    let Some((scope, _)) =
        state.registration_tokens.get(text("token")).filter(|(_, end)| *end > time::now_ms()).cloned()
    else {
        return Answer::message(401, "the registration token is not valid");
    };
    let name = text("name").to_owned();
    if state.runners.values().any(|runner| runner.name == name && runner.scope == scope) {
        if body.get("replace").and_then(Value::as_bool) != Some(true) {
            return Answer::message(409, "a runner of that name exists");
        }
        state.runners.retain(|_, runner| runner.name != name || runner.scope != scope);
    }
    // config.sh adds these by itself, unless it is asked not to (--no-default-labels); a JIT config does not.
    let mut labels: Vec<String> = ["self-hosted", "Linux", "X64"].map(str::to_owned).to_vec();
    if body.get("no_default_labels").and_then(Value::as_bool) == Some(true) {
        labels.clear();
    }
    labels.extend(
        body.get("labels").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned),
    );
    let ephemeral = body.get("ephemeral").and_then(Value::as_bool).unwrap_or(false);
    let (id, key) = runners::add(state, name, scope, labels, ephemeral, 1);
    Answer::json(201, json!({"runner_id": id, "key": key, "server": state.base}))
}

fn session(world: &World, body: &Value) -> Answer {
    let mut state = world.lock();
    let session = state.token("session-");
    let id = body.get("runner_id").and_then(Value::as_u64).unwrap_or(0);
    let key = body.get("key").and_then(Value::as_str).unwrap_or_default();
    let Some(runner) = state.runners.get_mut(&id).filter(|runner| runner.key == key) else {
        return Answer::message(404, "the registration is gone");
    };
    if runner.session.is_some() {
        return Answer::message(409, "a session for this runner exists");
    }
    runner.session = Some(session.clone());
    runner.seen_ms = time::now_ms();
    Answer::json(200, json!({"session": session}))
}

async fn poll(world: &Arc<World>, session: &str, wait_ms: u64) -> Answer {
    let end = tokio::time::Instant::now() + Duration::from_millis(wait_ms);
    loop {
        let changed = world.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        {
            let mut state = world.lock();
            let Some(id) = by_session(&state, session) else { return Answer::message(404, "no such session") };
            if let Some(runner) = state.runners.get_mut(&id) {
                runner.seen_ms = time::now_ms();
            }
            let free = state.runners.get(&id).filter(|runner| runner.job.is_none());
            if let Some(job) = free.and_then(|runner| jobs::job_for(&state, runner)) {
                assign(&mut state, id, job);
                let found = &state.jobs[&job];
                let conclusion = if found.spec.conclusion.is_empty() { "success" } else { &found.spec.conclusion };
                let answer = json!({"job": {
                    "job_id": job, "run_id": found.run, "repository": found.repository, "name": found.spec.name,
                    "duration_ms": u64::try_from(found.spec.duration.as_millis()).unwrap_or(u64::MAX), "conclusion": conclusion,
                }});
                drop(state);
                deliveries::flush(world);
                return Answer::json(200, answer);
            }
        }
        if tokio::time::timeout_at(end, changed).await.is_err() {
            return Answer::json(200, json!({"job": null}));
        }
    }
}
