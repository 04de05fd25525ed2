//! The files of a control repository: what is laid out, and what an upgrade of it changes.
//!
//! It is a crate of its own, and pure, so that a repository's files are a function of a few wishes and its policy: they can
//! be tested whole, made again to the byte, and compared with what a user has made of them. Reading and writing is the
//! command's.
//!
//! 1. [`Wishes`]: what is asked for, remembered in the repository;
//! 2. [`lay_out`]: the files;
//! 3. [`compare`]: what becomes of each file that is there already. A file that a user edited is never overwritten unless it
//!    is named;
//! 4. [`doctor`]: what the repository's settings at GitHub must be, which no file can say.

mod compare;
pub mod doctor;
mod files;
mod forms;
mod policy_file;
mod text;
mod wishes;

use std::collections::BTreeMap;

pub use compare::{Existing, LayoutStep, MANIFEST_FILE, Manifest, NotAManifest, What, compare, policy_in_force};
pub use files::{PINS, WORKFLOW_FILE, identity_command, label_commands, lay_out};
pub use policy_file::policy_file;
pub use wishes::{Cannot, GitHubKind, Wishes};

/// The version that lays out; the manifest says it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Files by their path in the control repository.
pub type LaidOutFiles = BTreeMap<String, String>;
