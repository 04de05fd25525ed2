//! Webhook payloads as GitHub's packages show them.
//!
//! The schemas of `@octokit/webhooks-schemas` refuse real payloads (636 closed objects, no `enterprise`), so examples
//! feed our parser and the `x-webhooks` of the OpenAPI documents check what the simulator sends
//! ([`crate::OpenApi::validate_webhook`]).

use serde_json::Value;

use crate::doc::{LoadError, read_json};
use crate::material::Material;

/// The servers of `@octokit/webhooks-examples`; `ghes-31` is GitHub Enterprise Server 3.1.
pub const SERVERS: [&str; 6] = ["api.github.com", "ghes-31", "ghes-32", "ghes-33", "ghes-34", "ghes-35"];

/// One payload.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// One of [`SERVERS`].
    pub server: &'static str,
    /// The event, as in the header `X-GitHub-Event`.
    pub event: String,
    /// `server/event#index`, for messages.
    pub name: String,
    /// The payload.
    pub payload: Value,
}

/// All payloads of all servers.
/// # Errors
/// When the package is not there, unreadable, or has not the known shape.
pub fn webhook_examples() -> Result<Vec<Example>, LoadError> {
    let material = Material::find()?;
    let mut examples = Vec::new();
    for server in SERVERS {
        let events = read_json(material.path("@octokit/webhooks-examples", &format!("{server}/index.json")))?;
        let shape = |problem: &str| LoadError::Shape { document: server, problem: problem.to_owned() };
        for event in events.as_array().ok_or_else(|| shape("not a list of events"))? {
            let name = event["name"].as_str().ok_or_else(|| shape("an event without a name"))?;
            let payloads = event["examples"].as_array().ok_or_else(|| shape("an event without examples"))?;
            for (index, payload) in payloads.iter().enumerate() {
                examples.push(Example {
                    server,
                    event: name.to_owned(),
                    name: format!("{server}/{name}#{index}"),
                    payload: payload.clone(),
                });
            }
        }
    }
    Ok(examples)
}
