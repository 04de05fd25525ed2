//! All tests of this package as one program: each further one is linked again, and compiles `support` again.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod calls;
mod closing;
mod coming_and_going;
mod concurrency;
mod evidence;
mod failures;
mod fixtures;
mod history;
mod housekeeping;
mod ingestion;
mod interruptions;
mod job_list;
mod later_attempt;
mod notifications;
mod peer_defects;
mod size;
mod support;
mod sweeping;
