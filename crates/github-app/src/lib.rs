//! What the GitHub App must be allowed, feature by feature, and the manifest that asks for exactly that.
//!
//! It is a crate of its own so that one table answers three questions alike: what an App is created with, what an existing
//! one lacks, and what the documentation says. It is pure: who asks GitHub is somebody else.

mod compare;
mod manifest;
mod need;

pub use compare::{Extra, FeatureState, Lack, Missing, feature_states, missing, superfluous};
pub use manifest::{AppOwner, ManifestText, NAME_CHARS_MAX, PLACEHOLDER_URL, form_address, manifest};
pub use need::{Access, AppProfile, AppRunners, Feature, Needs, label};
