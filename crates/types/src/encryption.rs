//! How a secret lies where it waits: plain data, so that the configuration can be read without an AWS SDK.

/// How hand-offs are encrypted in Parameter Store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// Not at all: a plain parameter.
    Plain,
    /// By AWS's key for Parameter Store.
    #[default]
    Managed,
    /// By this KMS key.
    Key(String),
}
