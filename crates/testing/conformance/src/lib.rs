//! GitHub's own OpenAPI documents and payloads as checks of the client and of the simulator.
//!
//! A client and a simulator written by the same people agree with each other and may both be wrong. This crate
//! lets material that nobody here wrote decide: the documents of npm `@octokit/openapi` (requests, answers, webhook
//! deliveries), the payloads of `@octokit/webhooks-examples`, and the schema of `@octokit/graphql-schema` (queries). All are read at
//! test time from where npm put them; no copy lives in the repository. The crate is a dependency of tests only.
//!
//! What the documents cannot check is stated where it is decided: [`overlay`] fixes their known defects, one argued
//! entry each, and [`result`] lists the statuses that GitHub sends and does not document.

pub mod doc;
pub mod exchange;
pub mod graphql;
pub mod material;
pub mod openapi;
pub mod operation;
pub mod overlay;
mod parameters;
pub mod result;
mod route;
mod schema;
pub mod webhook;

pub use doc::{Doc, LoadError};
pub use exchange::{Coverage, Exchange};
pub use graphql::GraphQlSchema;
pub use material::{Material, NotAvailable, can_run};
pub use openapi::OpenApi;
pub use operation::Operation;
pub use result::{CheckResult, Violation};
pub use webhook::{Example, webhook_examples};
