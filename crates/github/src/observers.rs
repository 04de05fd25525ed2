//! Who sees the calls: a recorder in tests, a counter for metrics. It is apart because the configuration brings them in and the
//! transport calls them.

use std::sync::Arc;

use runnersmith_ports::Notice;
use serde_json::Value;

/// What a recorder sees. It holds tokens and configs: for tests only.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the parts of an exchange")]
pub struct RecordedExchange {
    pub operation: &'static str,
    pub method: &'static str,
    pub path_and_query: String,
    pub request_body: Option<Value>,
    pub status: u16,
    pub response_body: Option<Value>,
}

/// Sees every exchange.
pub type Recorder = Arc<dyn Fn(&RecordedExchange) + Send + Sync>;

/// Sees what each answer says beside what was asked.
pub type NoticeObserver = Arc<dyn Fn(&Notice) + Send + Sync>;

/// Sees every call: its operation, and the status or 0.
pub type Counter = Arc<dyn Fn(&'static str, u16) + Send + Sync>;
