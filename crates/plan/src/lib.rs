//! The planner: policy, snapshot and time in, plan out.
//!
//! It is a crate of its own so that no decision can read a clock, a file, the network or the environment: it cannot
//! reach them. It is total (every input gives a plan), deterministic, and the order of its input is irrelevant.
//!
//! Beside the plan it holds what is said of it, which is pure as well: the story of a job (`story`), which jobs a question is about
//! (`question`), the list of jobs (`job_list`) and a set's level (`level`).
//!
//! How it converges: observations are applied to a working copy of the runners first, and everything else is decided on
//! the copy. One round therefore both sees and decides; the updates are steps too, so that executing the plan brings the
//! ledger to where the copy is, and the next round decides from there.

mod breaker;
mod check_run;
mod demand;
mod draft;
mod draining;
mod elsewhere;
mod evidence;
mod failure;
mod fallback_order;
pub mod fault;
mod hand_off;
pub mod host;
mod interruption;
pub mod job_list;
mod launch;
pub mod level;
mod lint;
mod notify;
mod observe;
pub mod question;
mod removal;
pub mod route;
pub mod schedule;
mod share;
pub mod story;
mod verify;
mod waits;
mod words;

pub use elsewhere::{has_labels, wait_reason};
pub use failure::NO_ANSWER;
pub use interruption::{RerunDecision, decide_rerun, is_superseded};
pub use lint::{PlanFault, lint};
pub use waits::changed_waits;
pub use words::escaped;

use runnersmith_types::{Plan, ScaleSet, Snapshot, Timestamp};

/// Makes the plan of one scale set.
///
/// Its steps are in the order in which they are to be executed: updates, then what takes intents back, makes and launches
/// them, then what removes, then what concerns jobs.
pub fn plan(policy: &ScaleSet, snapshot: &Snapshot, now: Timestamp) -> Plan {
    let mut draft = draft::Draft::new(policy, snapshot, now);
    observe::observe(&mut draft);
    launch::give_up(&mut draft);
    interruption::warned(&mut draft);
    removal::expired(&mut draft);
    failure::find(&mut draft);
    let shared = share::share(&mut draft);
    let need = demand::meet(&mut draft, &shared);
    hand_off::hand_off(&mut draft);
    removal::surplus(&mut draft, &need);
    draining::draining(&mut draft);
    draining::untracked_machines(&mut draft);
    verify::verify(&mut draft);
    notify::notify(&mut draft, &shared);
    interruption::rerun(&mut draft);
    draft.finish()
}
