//! `config.sh`: registers the runner and keeps what the listener needs, or removes it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::command_line::{RETRYABLE, SUCCESS, TERMINATED, argument, flag};
use crate::protocol::{CallError, JitConfig, Server};
use crate::say;

const FILES: [&str; 2] = [".runner", ".credentials"];

pub(crate) async fn run(args: &[String]) -> i32 {
    let done = if args.first().is_some_and(|arg| arg == "remove") { remove(args).await } else { register(args).await };
    match done {
        Ok(code) => code,
        Err(error) => {
            say::line(&format!("{error:#}"));
            TERMINATED
        }
    }
}

async fn register(args: &[String]) -> anyhow::Result<i32> {
    #[derive(Deserialize)]
    struct Answer {
        runner_id: u64,
        key: String,
        server: Option<String>,
    }
    if FILES.iter().any(|file| fs::exists(file).unwrap_or(false)) {
        bail!(
            "Cannot configure the runner because it is already configured. To reconfigure the runner, run 'config.cmd remove' or './config.sh remove' first."
        );
    }
    let url = argument(args, "url").context("Invalid configuration provided for url")?;
    let token = argument(args, "token").context("Invalid configuration provided for token")?;
    let name = argument(args, "name").context("Invalid configuration provided for name")?;
    let labels: Vec<String> = argument(args, "labels")
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|label| !label.is_empty())
        .map(str::to_owned)
        .collect();
    let ephemeral = flag(args, "ephemeral");
    let body = json!({
        "url": url, "token": token, "name": name, "labels": labels, "group": argument(args, "runnergroup"),
        "ephemeral": ephemeral, "replace": flag(args, "replace"), "no_default_labels": flag(args, "no-default-labels"),
    });
    let answer: Answer = match Server::of_url(&url)?.call("register", &body).await {
        Ok(answer) => answer,
        Err(error) => return Ok(failed(&error)),
    };
    say::line("√ Connected to GitHub");
    let origin = reqwest::Url::parse(&url).context("the address")?.origin().ascii_serialization();
    let server = answer.server.unwrap_or(origin);
    store(".credentials", &json!({ "key": answer.key }))?;
    store(
        ".runner",
        &json!({ "server": server, "runner_id": answer.runner_id, "runner_name": name, "ephemeral": ephemeral }),
    )?;
    say::line("√ Runner successfully added");
    say::line("√ Settings Saved.");
    Ok(SUCCESS)
}

async fn remove(args: &[String]) -> anyhow::Result<i32> {
    if let Some(config) = load()? {
        let token = argument(args, "token").context("Invalid configuration provided for token")?;
        let body = json!({ "runner_id": config.runner_id, "token": token });
        if let Err(error) = Server::new(&config.server)?.call::<Value>("remove", &body).await {
            return Ok(failed(&error));
        }
    }
    for file in FILES {
        if fs::exists(file).unwrap_or(false) {
            fs::remove_file(file).with_context(|| format!("removing {file}"))?;
        }
    }
    say::line("√ Runner removed successfully");
    Ok(SUCCESS)
}

fn failed(error: &CallError) -> i32 {
    match error {
        CallError::Refused(status) => {
            say::line(&format!("Http response code: {status} from 'POST /_runner'"));
            TERMINATED
        }
        CallError::Unreachable(error) => {
            say::line(&format!("Failed to connect: {error:#}"));
            RETRYABLE
        }
    }
}

fn store(file: &str, value: &Value) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    let mut opened =
        options.write(true).create_new(true).mode(0o600).open(file).with_context(|| format!("making {file}"))?;
    opened.write_all(value.to_string().as_bytes()).with_context(|| format!("writing {file}"))
}

/// What `config.sh` stored in the current directory; `None` when it was not run.
pub(crate) fn load() -> anyhow::Result<Option<JitConfig>> {
    if !FILES.iter().all(|file| fs::exists(file).unwrap_or(false)) {
        return Ok(None);
    }
    let read = |file: &str| -> anyhow::Result<Value> {
        let text = fs::read_to_string(file).with_context(|| format!("reading {file}"))?;
        serde_json::from_str(&text).ok().with_context(|| format!("{file} is damaged"))
    };
    let (mut settings, credentials) = (read(".runner")?, read(".credentials")?);
    settings["key"] = credentials["key"].clone();
    Ok(Some(serde_json::from_value(settings).ok().context("the runner's settings are damaged")?))
}
