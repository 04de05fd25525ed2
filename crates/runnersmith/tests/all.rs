//! The tests of this package that need no program of their own: each further program is linked again, and compiles `support` again.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

#[cfg(feature = "demo")]
mod app;
mod asking;
#[cfg(feature = "demo")]
mod doctor;
#[cfg(feature = "aws")]
mod environment;
mod init;
#[cfg(feature = "migrate")]
mod migrate;
#[cfg(feature = "demo")]
mod payloads;
#[cfg(feature = "demo")]
mod reading;
#[cfg(feature = "demo")]
mod requests;
#[cfg(feature = "demo")]
mod support;
