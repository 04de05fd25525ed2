//! By what a call is authorised, and whose limit it counts against. It is apart because who makes authorisations, who makes
//! exchanges and who keeps limits all speak of it.

use runnersmith_types::Secret;

/// Whose limit a call counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Payer {
    /// The App: calls with its JWT.
    App,
    Installation(u64),
    /// A plain token; one client has one.
    Token,
    Nobody,
}

/// What a call is authorised by.
pub(crate) struct Authorization {
    pub secret: Option<Secret>,
    pub payer: Payer,
}
