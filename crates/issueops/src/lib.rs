//! IssueOps without IO: an issue asks, a plan answers, a person approves its digest.
//!
//! It is a crate of its own so that what decides about other people's cloud can be read and tested without a network, a
//! clock, a file or a process: it cannot reach them. Issues, comments, plans and policies come in as text or as facts;
//! what is to be done goes out as data, and what is to be said as finished Markdown.
//!
//! The way of a change, by module:
//!
//! 1. [`request`]: the body becomes typed values, or an answer field by field;
//! 2. [`policy`]: the platform team's bounds for them;
//! 3. [`render`]: the environment's folder, byte for byte the same each time;
//! 4. [`summary`]: what Terraform's plan would do, and what that means for the fleet;
//! 5. [`digest`]: one number for everything that an approval is about;
//! 6. [`command`]: what people order in comments;
//! 7. [`change`]: who may, when, and what follows;
//! 8. [`comment`]: every text that is posted.

pub mod change;
pub mod command;
pub mod comment;
pub mod digest;
pub mod policy;
pub mod render;
pub mod request;
pub mod summary;
mod words;
