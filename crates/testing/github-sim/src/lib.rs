//! A GitHub that runs on loopback, for tests and the demo.
//!
//! It is an independent model: it knows nothing of our types, speaks HTTP under GitHub's own paths, verifies the App's
//! JWT, signs its deliveries, and gives jobs to runners by label the way GitHub does. What it cannot do is listed in its README.
//!
//! Each module uses only those that are named before it: the state; the rules of GitHub; the forms in which things are shown;
//! deliveries and events; what can be done; the HTTP surface; and the simulator, by which tests drive it all.

mod acts;
mod body;
mod deliveries;
mod events;
mod faults;
mod forms;
mod git;
mod http;
mod keys;
mod options;
mod rules;
mod simulator;
mod state;
mod time;

pub use faults::{Faults, Limit};
pub use keys::app_key;
pub use options::{App, Options, SimError};
pub use simulator::{CommentView, IssueView, PullView, Simulator};
pub use state::board::BranchRules;
pub use state::runs::{JobSpec, JobView, RunnerView, WorkflowSpec};
pub use state::setup::{ClassicProtection, EnvironmentSetup, RepositorySetup};
