//! All tests of this package as one program: each further one is linked again, and compiles `support` again.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod contract;
mod durability;
mod fixtures;
mod read_only;
