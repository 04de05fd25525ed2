//! All tests of this package as one program: each further one is linked again, and compiles `support` again.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod changes;
mod comments;
mod corpus;
mod documented;
mod fixtures;
mod hostile;
mod pitfalls;
mod requests;
mod seed_defects;
mod seed_issue;
mod stored;
mod summaries;
mod support;
