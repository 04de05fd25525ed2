//! The ledger on DynamoDB: one table, written so that every promise of the port is one conditional write or one transaction.
//!
//! | partition key | sort key | what |
//! | --- | --- | --- |
//! | `jobs#<n>` | `open#<job>`, `done#<job>` | a job; spread over partitions by its number. `open` is what a pass reads |
//! | `held#<repository>#<run>` | `<job>` | a stalled job, so that a change of its run finds it |
//! | `sets` | `<set>` | lease, counts of alive runners and of supply |
//! | `closed` | `<set>` | a set that is out of service |
//! | `wake#<set>` | `wake` | the wake counter, apart from the lease so that waking never disturbs a transaction |
//! | `set#<set>` | `live#<runner>`, `gone#<runner>`, `batch#<id>`, `strike#…`, `boot#…` | what belongs to a set |
//! | `batch#<id>` | `batch` | a batch by its id |
//! | `events#job#…`, `events#runner#…` | time | history |
//! | `budget#<kind>#<minute>`, `rerun`, `value#<key>`, `plane`, `serial` | | small things |
//!
//! Passes read consistently from the first rows only. The index `by_kind` is for lists of jobs, runners and events. `expires` is the
//! table's time to live, which deletes what is old: to delete it by calls would cost as much as a fifth of all that is written.

mod budgets;
mod history;
mod jobs;
mod leases;
mod runners;
mod table;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use runnersmith_ports::Clock;
use runnersmith_types::ControlPlaneId;
use tokio::sync::OnceCell;

use crate::Session;
use table::Table;

/// What the ledger may call.
pub const OPERATIONS: [&str; 7] = [
    "dynamodb:GetItem",
    "dynamodb:Query",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "dynamodb:DeleteItem",
    "dynamodb:ConditionCheckItem",
    "dynamodb:BatchWriteItem",
];

/// The table as `CreateTable` takes it (JSON), `TableName` excepted: the Terraform module and the tests make it so.
pub const TABLE_DEFINITION: &str = r#"{
  "BillingMode": "PAY_PER_REQUEST",
  "AttributeDefinitions": [
    {"AttributeName": "pk", "AttributeType": "S"},
    {"AttributeName": "sk", "AttributeType": "S"},
    {"AttributeName": "kind", "AttributeType": "S"},
    {"AttributeName": "at", "AttributeType": "N"}
  ],
  "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
  "GlobalSecondaryIndexes": [{
    "IndexName": "by_kind",
    "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
    "Projection": {"ProjectionType": "ALL"}
  }]
}"#;

/// The ledger in a DynamoDB table.
#[derive(Clone)]
pub struct DynamoLedger {
    table: Table,
    clock: Arc<dyn Clock>,
    /// How long history is kept; then the table's time to live removes it, in some days at the latest.
    keep: Duration,
    control_plane: Arc<OnceCell<ControlPlaneId>>,
    /// Nothing is written by a read: a table that no control plane has used is an error.
    is_for_reading: bool,
    events: Arc<AtomicU64>,
    /// Distinguishes this process's writes from everybody else's.
    nonce: Arc<str>,
}

impl DynamoLedger {
    /// The ledger in this table, which exists.
    #[must_use]
    pub fn new(session: &Session, table: &str, keep: Duration, clock: Arc<dyn Clock>) -> Self {
        Self {
            table: Table::new(session, table),
            clock,
            keep,
            control_plane: Arc::default(),
            is_for_reading: false,
            events: Arc::default(),
            nonce: table::nonce().into(),
        }
    }

    /// The same ledger for commands that only read: none of its reads writes, so that rights to read are enough.
    #[must_use]
    pub fn for_reading(self) -> Self {
        Self { is_for_reading: true, ..self }
    }
}
