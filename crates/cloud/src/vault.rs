//! Secrets that a person has stored for the plane: put once, never overwritten.

use runnersmith_aws::{Failure, Parameters, Session};
use runnersmith_types::Secret;

/// Parameter Store, for storing secrets.
#[derive(Clone)]
pub struct Vault {
    parameters: Parameters,
}

impl Vault {
    /// As whoever the environment says: the standard variables, profiles and roles.
    pub async fn from_environment() -> Self {
        Self { parameters: Parameters::new(&Session::from_environment(None, None).await) }
    }

    /// Which of these names are taken. At most ten.
    ///
    /// # Errors
    /// When Parameter Store refuses.
    pub async fn present(&self, names: &[String]) -> Result<Vec<String>, Failure> {
        Ok(self.parameters.named(names).await?.into_keys().collect())
    }

    /// Stores a secret under a name that is not taken.
    ///
    /// # Errors
    /// When Parameter Store refuses, or the name is taken.
    pub async fn put(&self, name: &str, value: &Secret) -> Result<(), Failure> {
        self.parameters.put_secret(name, value).await
    }
}
