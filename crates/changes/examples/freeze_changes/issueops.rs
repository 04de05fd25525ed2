//! The world in which changes are decided about, as the tests of `issueops` have it.

use runnersmith_issueops::policy::Policy;

#[path = "../../../issueops/tests/support/world.rs"]
pub mod world;

/// The policy of the tests.
pub fn policy() -> Policy {
    Policy::parse(include_str!("../../../issueops/tests/support/policy.toml")).unwrap()
}
