//! Secrets that a person stores for the control plane: put once, never overwritten.

use runnersmith_types::Secret;

use crate::{AwsFailure, Parameters, Session};

/// Parameter Store, for storing secrets.
#[derive(Clone)]
pub struct SecretParameters {
    parameters: Parameters,
}

impl SecretParameters {
    /// With the credentials of the process's environment: the standard variables, profiles and roles.
    pub async fn from_environment() -> Self {
        Self { parameters: Parameters::new(&Session::from_environment(None, None).await) }
    }

    /// Which of these names are taken. At most ten.
    ///
    /// # Errors
    /// When Parameter Store refuses.
    pub async fn present(&self, names: &[String]) -> Result<Vec<String>, AwsFailure> {
        Ok(self.parameters.named(names).await?.into_keys().collect())
    }

    /// Stores a secret under a name that is not taken.
    ///
    /// # Errors
    /// When Parameter Store refuses, or the name is taken.
    pub async fn put(&self, name: &str, value: &Secret) -> Result<(), AwsFailure> {
        self.parameters.put_secret(name, value).await
    }
}
