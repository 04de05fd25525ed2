//! What reviewers would otherwise have to look for. Each test reads the tree and names the place and the fix.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod cycles;
mod documents;
mod findings;
mod kept;
mod packages;
mod size;
#[path = "../support/mod.rs"]
mod support;
mod text;
mod tree;
mod vocabulary;
