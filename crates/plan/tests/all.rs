//! All tests of this package as one program: each further one is linked again, and compiles `support` again.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod deadlines;
mod doubts;
mod evidence;
mod failures;
mod notifications;
mod properties;
mod routes;
mod rules;
mod schedule;
mod sentences;
mod states;
mod support;
mod whole_plans;
