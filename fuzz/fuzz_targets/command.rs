//! A comment: which lines of it are commands.

#![no_main]

#[path = "../../crates/issueops/tests/support/invariants.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = invariants::comment(data);
});
