//! What every implementation of a port must do: one suite of checks for each port, which its implementations run as tests.

pub mod ledger;
pub mod machines;
pub mod queue;
pub mod record_store;
pub mod steps;
