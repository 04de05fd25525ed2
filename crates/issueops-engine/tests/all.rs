//! All tests of this package as one program: each further one is linked again, and compiles `support` again.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod attacker;
mod attacker_roads;
mod drifting;
mod fixtures;
mod four_eyes;
mod hand_edits;
mod life;
mod meanwhile;
mod merging;
mod notifying;
mod pitfalls;
mod store;
mod support;
