//! The ports between decisions and the world.
//!
//! Each trait states its contract; each has a real implementation, an embedded one and a simulated one
//! (the world of tests), and one suite of contract tests runs against all of them. Controllers touch
//! time, storage, machines and GitHub only through these, so that they run unmodified anywhere.

mod causes;
pub mod clock;
#[cfg(feature = "contract")]
pub mod contract;
pub mod control;
pub mod github;
pub mod hand_off;
pub mod ledger;
pub mod machines;
#[cfg(feature = "contract")]
pub mod memory_record_store;
pub mod message;
pub mod queue;
pub mod record_store;

pub use causes::chain;
pub use clock::{Clock, SystemClock};
#[cfg(feature = "contract")]
pub use clock::{ManualClock, TestClock};
pub use control::ControlRepository;
pub use github::{
    CheckRun, DeliveryPage, FailedDelivery, GitHub, GitHubError, InstalledOwner, JitConfig, JitRequest, Notice,
    NoticeKind, RegistrationToken, RepositoryPage,
};
pub use hand_off::{HandOff, HandOffError, RunnerConfig};
pub use ledger::{
    BudgetKind, BudgetLedger, HistoryLedger, JobLedger, Lease, LeaseLedger, Ledger, LedgerError, Recorded,
    ReleaseOutcome, RunnerLedger, WorkLedger,
};
pub use machines::{LaunchRequest, Machines, MachinesError, OUTPUT_LINES_MAX};
#[cfg(feature = "contract")]
pub use memory_record_store::MemoryRecordStore;
pub use message::{MachineEvent, Message};
pub use queue::{Queue, QueueError, Receipt, ReceivedMessage};
pub use record_store::{Expect, RecordStore, RecordStoreError, StoredRecord, Version};
