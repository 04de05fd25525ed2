//! Observe, plan, execute, record: the loop over the ports.
//!
//! It exists apart from the planner because it touches the world, and apart from the shells because the same loop
//! runs in a Lambda, in one process and in a simulation. It decides nothing itself: decisions come from the planner.

pub mod closing;
pub mod consume;
mod context;
pub mod driver;
mod effects;
pub mod execute;
pub mod faults;
mod hand_over;
pub mod housekeeping;
pub mod job_list;
mod launch;
pub mod levels;
pub mod lookups;
pub mod loops;
pub mod metrics;
mod notify;
pub mod observe;
pub mod pass;
pub mod pauses;
mod plan_json;
mod redelivery;
mod rerun;
pub mod sets;
mod stored;
mod sweep;
pub mod tasks;
pub mod timer;
pub mod why;
mod work;
mod world;

pub use observe::Depth;
pub use pass::{Passed, pass};
pub use plan_json::{PlanJson, PlanStepJson, PlanWaitingJson};
pub use sets::Sets;
pub use world::{CallLimits, JobObserver, Ports, World};
