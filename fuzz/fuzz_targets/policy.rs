//! A policy file: checked, and what it puts into a folder.

#![no_main]

#[path = "../../crates/issueops/tests/support/invariants.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = invariants::policy(data);
});
