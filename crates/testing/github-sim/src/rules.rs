//! What follows from the state by GitHub's rules: who may what, which runner takes which job, whether something can be merged.
//! Nothing here is sent or shown.

pub(crate) mod apps;
pub(crate) mod groups;
pub(crate) mod issues;
pub(crate) mod jobs;
pub(crate) mod manifest;
pub(crate) mod people;
pub(crate) mod pulls;
