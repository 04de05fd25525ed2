//! What the tests of this crate share: a policy, and requests from JSON blocks.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod invariants;
pub mod world;

use runnersmith_issueops::policy::Policy;
use runnersmith_issueops::request::{
    Known, Refused, Request, RequestKind, RequestProblem, SetRequest, parse, validate,
};

/// The policy of the tests.
pub const POLICY: &str = include_str!("policy.toml");

/// The policy of the tests, read.
pub fn policy() -> Policy {
    Policy::parse(POLICY).unwrap()
}

/// The philips-labs module's block with every key.
pub const SEED_BLOCK: &str = r#"{
  "environment": "linux_large",
  "organization": "acme",
  "minRunners": "1",
  "maxRunners": "3",
  "runnerGroup": "default",
  "amiFilter": "amzn2-ami-hvm-2.*-x86_64-ebs",
  "amiOwner": "amazon"
}"#;

/// Parses and checks.
pub fn check(body: &str, kind: RequestKind, known: &Known) -> Result<Request, Vec<RequestProblem>> {
    parse(body, kind).and_then(|given| validate(&given, kind, &policy(), known)).map_err(|Refused(problems)| problems)
}

/// A request to create, which must be valid.
pub fn set(body: &str) -> SetRequest {
    match check(body, RequestKind::Set, &Known::default()).unwrap() {
        Request::Set(set) => *set,
        Request::Delete(_) => panic!("a deletion"),
    }
}
