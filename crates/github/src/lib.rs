//! The GitHub client: Apps, runners, jobs, checks, deliveries, releases, the control repository.
//!
//! It is an edge: it turns GitHub's answers into the questions that a caller acts on, and nothing more. No call sleeps
//! for a limit; reads are tried again a bounded number of times, writes never.
//!
//! Each part uses only those before it: configuration and operations; the meaning of an answer; the transport; what a call is
//! authorised by; the client; and on it the calls of the port, of the control repository and its settings, and of the App itself.

mod access;
mod answer;
pub mod app_admin;
mod app_key;
mod auth;
mod calls;
mod client;
mod config;
mod control;
mod control_files;
mod control_port;
mod control_wire;
mod download;
mod etags;
mod graphql;
mod limits;
mod locks;
mod notice;
mod observers;
mod operations;
mod pages;
mod payer;
pub mod releases;
mod search;
pub mod settings;
mod transport;
pub mod webhook_admin;
mod wire;

pub use app_key::{AppKeyError, private_key_pem};
pub use client::GitHubClient;
pub use config::{AppCredentials, GitHubConfig, GitHubConfigError, api_base};
pub use control::{ControlClient, RepositoryIdentity};
pub use observers::{Counter, NoticeObserver, RecordedExchange, Recorder};
pub use operations::{OPERATIONS, Operation};
pub use wire::WorkflowJobPayload;
