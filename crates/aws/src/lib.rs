//! The ports on AWS, EC2 excepted: SQS is the queue, DynamoDB the ledger, SSM Parameter Store the hand-off and the settings,
//! S3 keeps runner distributions, and records beside Terraform's state.
//!
//! They live apart from the embedded store so that one machine needs no AWS SDK, and apart from EC2 because that SDK
//! alone takes longer to build than everything else. Each service is a feature, so that a function links what it uses.
//! Every module declares the operations that it calls in `OPERATIONS`; a test holds what was observed against them, and
//! the Terraform module grants nothing else.

#[cfg(feature = "ledger")]
pub mod dynamodb;
mod error;
#[cfg(feature = "queue")]
mod machine_events;
#[cfg(feature = "objects")]
pub mod objects;
#[cfg(feature = "objects")]
pub mod record_store;
pub mod session;
#[cfg(feature = "settings")]
pub mod settings;
#[cfg(feature = "queue")]
pub mod sqs;
#[cfg(feature = "parameters")]
pub mod ssm;
#[cfg(feature = "wiring")]
pub mod wiring;

#[cfg(feature = "ledger")]
pub use dynamodb::{DynamoLedger, TABLE_DEFINITION};
pub use error::{AwsFailure, AwsFailureKind};
#[cfg(feature = "objects")]
pub use record_store::ObjectRecordStore;
pub use session::Session;
#[cfg(feature = "settings")]
pub use settings::{StoredSettings, StoredSettingsError};
#[cfg(feature = "queue")]
pub use sqs::SqsQueue;
#[cfg(feature = "parameters")]
pub use ssm::{ParameterHandOff, Parameters};
