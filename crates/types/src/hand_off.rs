//! How a hand-off is kept where it is stored outside of the machine.

/// How hand-offs in AWS's Parameter Store are encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HandOffEncryption {
    /// Not at all: plain parameters.
    Plain,
    /// By AWS's own key for Parameter Store.
    #[default]
    Managed,
    /// By this KMS key: its id, alias or ARN.
    Key(String),
}
