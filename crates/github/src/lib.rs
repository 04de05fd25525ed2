//! The GitHub client: Apps, runners, jobs, checks, deliveries, releases, the control repository.
//!
//! It is an edge: it turns GitHub's answers into the questions that a caller acts on, and nothing more. No call sleeps
//! for a limit; reads are tried again a bounded number of times, writes never.

pub mod app_admin;
mod app_key;
mod auth;
mod calls;
mod config;
mod control;
mod control_files;
mod control_wire;
mod etags;
mod http;
mod operations;
mod pages;
pub mod releases;
mod wire;

pub use app_key::{AppKeyError, private_key_pem};
pub use config::{AppCredentials, ConfigError, GitHubConfig, api_base};
pub use control::ControlClient;
pub use http::{Counter, Exchange as Seen, GitHubClient, Recorder};
pub use operations::{OPERATIONS, Operation};
pub use wire::Job as WireJob;
