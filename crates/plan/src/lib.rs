//! The planner: policy, snapshot and time in, plan out.
//!
//! It is a crate of its own so that no decision can read a clock, a file, the network or the environment: it cannot
//! reach them. It is total, and the order of its input is irrelevant.

mod demand;
mod draft;
mod ladder;
mod lint;
mod observe;
mod removal;
pub mod route;
pub mod schedule;
mod tell;

pub use lint::{Finding, lint};

use runnersmith_types::{Plan, ScaleSet, Snapshot, Timestamp};

/// Makes the plan of one scale set.
///
/// Observations are applied to a working copy first, so that one round both sees and decides; `Plan::steps` records them.
pub fn plan(policy: &ScaleSet, snapshot: &Snapshot, now: Timestamp) -> Plan {
    let mut draft = draft::Draft::new(policy, snapshot, now);
    observe::observe(&mut draft);
    let demand = demand::demand(&mut draft);
    let need = demand::supply(&mut draft, &demand);
    demand::hand_offs(&mut draft);
    removal::removal(&mut draft, &need);
    tell::tell(&mut draft, &demand);
    draft.finish()
}
