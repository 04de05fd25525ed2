//! A small deterministic world around the loops of a control plane: everything outside of it in memory, time that is virtual, faults
//! and order from one seed, and checkers that know the truth.
//!
//! It exists because the promises were proved on small cases, one fault at a time; here they meet each other in thousands of orders,
//! and what breaks can be run again by its seed.

pub mod agenda;
mod bounds;
pub mod bugs;
mod check_runs;
pub mod checks;
mod end;
mod fleet;
mod github_wire;
mod jobs;
pub mod known;
pub mod ledger;
mod ledger_wire;
pub mod options;
pub mod outside;
pub mod pace;
pub mod process;
pub mod queue;
mod queue_wire;
pub mod random;
pub mod run;
pub mod time;
pub mod trace;
mod wires;

pub use bugs::Bug;
pub use checks::{Rule, Violation};
pub use options::Options;
pub use run::{Alter, Report, run};
