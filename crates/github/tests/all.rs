//! All tests of this package as one program: each further one is linked again, and compiles `support` again.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod calls;
mod client;
mod control;
mod limits;
mod protection;
mod search;
#[path = "../../controllers/tests/support/mod.rs"]
mod support;
