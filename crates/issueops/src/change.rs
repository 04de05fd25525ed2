//! A change: what state it is in, what happens to it, and what follows.
//!
//! It exists apart so that the whole approval is one pure function: record and event in, record and steps out. The record
//! lies beside Terraform's state and is the truth; comments only show it. The shell stores the new record first (compare
//! and swap), then does the steps, and reports what came of them as further events. A step that is done twice does no harm.
//!
//! Facts that can change between a look and a deed are read again at the deed: an approval leads to [`ChangeStep::Reread`], and
//! only what comes back equal to what was approved leads to [`ChangeStep::Apply`].

mod commands;
mod decide;
mod draft;
mod event;
mod failure;
mod lock;
mod progress;
mod state;
mod step;
mod who;

pub use crate::command::{CommentCommand, Consent, Misread};
pub use crate::digest::{Changed, Digest, DigestInput};
pub use commands::PLAIN_APPROVE_AFTER;
pub use decide::decide;
pub use event::{Comment, Editors, LifecycleEvent, Reread};
pub use failure::{ChangeFailure, ChangeStage, Stopped};
pub use lock::{HeldLock, Holder, Liveness, Lock};
pub use state::{Approval, Change, ChangeKind, EditedFiles, HANDLED_MAX, Left, PlanRecord, State};
pub use step::{ChangeStep, Decision, GivenUp, Reaction, Reply, RequestOutcome, VoidWhy};
pub use who::{Actor, Denial, Membership, Permission, plans_by_itself};
