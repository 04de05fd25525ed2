//! What this GitHub has, in the form that its OpenAPI documents require.

pub(crate) mod board;
pub(crate) mod objects;
