//! What can be done here, and what follows from it: each act changes the state and reports its events.

pub(crate) mod branches;
pub(crate) mod comments;
pub(crate) mod follow;
pub(crate) mod issues;
pub(crate) mod jobs;
pub(crate) mod pulls;
pub(crate) mod runners;
