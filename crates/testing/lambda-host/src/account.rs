//! Calls to the emulator that do not block the runtime.

use std::sync::Arc;

use runnersmith_aws_emulator::Emulator;
use serde_json::{Value, json};

/// The emulated account.
#[derive(Clone)]
pub struct Account(Arc<Emulator>);

impl Account {
    /// This one.
    #[must_use]
    pub const fn new(emulator: Arc<Emulator>) -> Self {
        Self(emulator)
    }

    /// The emulator.
    #[must_use]
    pub fn emulator(&self) -> &Emulator {
        &self.0
    }

    /// A call of the JSON protocol.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn json(&self, service: &'static str, target: &'static str, body: Value) -> Result<Value, String> {
        self.blocking(move |emulator| emulator.json(service, target, &body)).await
    }

    /// A call of the query protocol; its XML.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn query(
        &self,
        service: &'static str,
        action: &'static str,
        parameters: Vec<(String, String)>,
    ) -> Result<String, String> {
        self.blocking(move |emulator| {
            let parameters: Vec<(&str, &str)> =
                parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            emulator.query(service, action, &parameters)
        })
        .await
    }

    /// A call of a REST protocol, answered as JSON.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn rest(
        &self,
        service: &'static str,
        method: &'static str,
        path: String,
        body: Value,
    ) -> Result<Value, String> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let answer = self.blocking(move |emulator| emulator.rest(service, method, &path, &body)).await?;
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer).map_err(|error| format!("{service}: {error}"))
    }

    /// The bytes behind a path of the emulator's own.
    ///
    /// # Errors
    /// When there are none.
    pub async fn bytes(&self, path: String) -> Result<Vec<u8>, String> {
        self.blocking(move |emulator| emulator.rest("-", "GET", &path, b"")).await
    }

    /// All functions' configurations.
    pub(crate) async fn functions(&self) -> Result<Vec<Value>, String> {
        let found = self.rest("lambda", "GET", "/2015-03-31/functions/".into(), Value::Null).await?;
        Ok(found["Functions"].as_array().cloned().unwrap_or_default())
    }

    /// Credentials of a role: key, secret, token.
    pub(crate) async fn assume(&self, role: &str, session: &str) -> Result<[String; 3], String> {
        let parameters = vec![("RoleArn".into(), role.to_owned()), ("RoleSessionName".into(), session.to_owned())];
        let xml = self.query("sts", "AssumeRole", parameters).await?;
        let part = |tag: &str| between(&xml, tag).into_iter().next().unwrap_or_default();
        Ok([part("AccessKeyId"), part("SecretAccessKey"), part("SessionToken")])
    }

    /// Receives messages of a queue, waiting a second for the first.
    pub(crate) async fn receive(&self, queue: &str, max: u64) -> Result<Vec<Value>, String> {
        let body = json!({ "QueueUrl": queue, "MaxNumberOfMessages": max.clamp(1, 10), "WaitTimeSeconds": 1,
            "AttributeNames": ["All"], "MessageAttributeNames": ["All"] });
        let found = self.json("sqs", "AmazonSQS.ReceiveMessage", body).await?;
        Ok(found["Messages"].as_array().cloned().unwrap_or_default())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Emulator) -> Result<T, runnersmith_aws_emulator::EmulatorError> + Send + 'static,
    ) -> Result<T, String> {
        let emulator = self.0.clone();
        let done = tokio::task::spawn_blocking(move || call(&emulator)).await;
        done.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}

/// What stands between two XML tags, each time.
pub(crate) fn between(xml: &str, tag: &str) -> Vec<String> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    xml.split(&open).skip(1).filter_map(|rest| rest.split(&close).next().map(str::to_owned)).collect()
}
