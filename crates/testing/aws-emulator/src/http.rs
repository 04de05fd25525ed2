//! The emulator's own calls, and AWS calls for the set-up of tests, without an SDK: moto believes any signature.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde_json::Value;

use crate::error::EmulatorError;

/// Who makes a call.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub id: String,
    pub token: Option<String>,
    /// The account that is called, by its number.
    pub account: String,
}

impl Default for Key {
    /// Set-up calls, as they appear in the log of calls.
    fn default() -> Self {
        Self { id: "setup".into(), token: None, account: "123456789012".into() }
    }
}

fn authorization(key: &Key, service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={}/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0",
        key.id
    )
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().new_agent()
}

fn send(request: ureq::http::Request<Vec<u8>>, what: String) -> Result<Vec<u8>, EmulatorError> {
    let mut answer = agent().run(request).map_err(|error| EmulatorError::new("call", format!("{what}: {error}")))?;
    let status = answer.status();
    let body = answer
        .body_mut()
        .with_config()
        .limit(200 * 1024 * 1024)
        .read_to_vec()
        .map_err(|error| EmulatorError::new("call", format!("{what}: {error}")))?;
    if status.is_success() {
        return Ok(body);
    }
    Err(EmulatorError::new("call", format!("{what}: {status}: {}", String::from_utf8_lossy(&body))))
}

pub(crate) fn rest(
    url: &str,
    key: &Key,
    service: &str,
    method: &str,
    path: &str,
    body: &[u8],
) -> Result<Vec<u8>, EmulatorError> {
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{url}{path}"))
        .header("Authorization", authorization(key, service))
        .header("X-Amz-Security-Token", key.token.as_deref().unwrap_or_default())
        .header("X-Moto-Account-Id", &key.account)
        .header("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
        .header("Content-Type", "application/json")
        .body(body.to_vec())
        .map_err(|error| EmulatorError::new("call", error))?;
    send(request, format!("{method} {path}"))
}

pub(crate) fn json(url: &str, key: &Key, service: &str, target: &str, body: &Value) -> Result<Value, EmulatorError> {
    let request = ureq::http::Request::post(url)
        .header("Authorization", authorization(key, service))
        .header("X-Amz-Security-Token", key.token.as_deref().unwrap_or_default())
        .header("X-Moto-Account-Id", &key.account)
        .header("X-Amz-Target", target)
        .header("Content-Type", "application/x-amz-json-1.0")
        .body(body.to_string().into_bytes())
        .map_err(|error| EmulatorError::new("call", error))?;
    let answer = send(request, target.to_owned())?;
    if answer.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&answer).map_err(|error| EmulatorError::new("call", format!("{target}: {error}")))
}

pub(crate) fn query(
    url: &str,
    key: &Key,
    service: &str,
    action: &str,
    parameters: &[(&str, &str)],
) -> Result<String, EmulatorError> {
    let version = match service {
        "ec2" => "2016-11-15",
        "iam" => "2010-05-08",
        _ => "2011-06-15",
    };
    let mut form = format!("Action={action}&Version={version}");
    for (name, value) in parameters {
        form.push_str(&format!("&{}={}", escape(name), escape(value)));
    }
    let request = ureq::http::Request::post(url)
        .header("Authorization", authorization(key, service))
        .header("X-Amz-Security-Token", key.token.as_deref().unwrap_or_default())
        .header("X-Moto-Account-Id", &key.account)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form.into_bytes())
        .map_err(|error| EmulatorError::new("call", error))?;
    send(request, action.to_owned()).map(|body| String::from_utf8_lossy(&body).into_owned())
}

/// All but letters, digits and the four signs that RFC 3986 calls unreserved.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

fn escape(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, &ESCAPED)
}
