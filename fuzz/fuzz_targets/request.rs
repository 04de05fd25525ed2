//! An issue's body: parsed, checked, rendered.

#![no_main]

#[path = "../../crates/issueops/tests/support/invariants.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = invariants::request(data);
});
