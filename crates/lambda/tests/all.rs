//! The tests of this package that need no program of their own: each further program is linked again, and compiles `support` again.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod costs;
mod drain;
mod shapes;
mod support;
mod syncer;
mod user_data;
mod webhook_operations;
