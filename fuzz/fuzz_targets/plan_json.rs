//! A plan's JSON: summed up, laid out, shown.

#![no_main]

#[path = "../../crates/issueops/tests/support/invariants.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = invariants::plan_json(data);
});
