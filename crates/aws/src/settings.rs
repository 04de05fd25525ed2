//! The settings of a control plane on AWS, as Terraform and the stacks of its scale sets have stored them in Parameter Store.
//!
//! The functions read them to act, and a person's `why` or `status` to understand what they did: both by this one code, so that both
//! see the same policy. No secret is among them; their names are.

use std::collections::BTreeMap;

use runnersmith_config::{Config, ConfigError};

use crate::{AwsFailure, Parameters, Session};

/// What reading them calls.
pub const OPERATIONS: [&str; 1] = ["ssm:GetParametersByPath"];

/// The settings as they are now.
#[derive(Debug)]
pub struct StoredSettings {
    /// Everything.
    pub config: Config,
    /// Scale sets that are left out, by the names of their parameters, and what is wrong with them.
    pub left_out: Vec<(String, ConfigError)>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum StoredSettingsError {
    /// Parameter Store did not give them.
    #[error("read settings below {path}")]
    Read {
        /// The path.
        path: String,
        /// Why.
        #[source]
        source: AwsFailure,
    },
    /// There are none.
    #[error("there is no parameter {0}; hint: was the control plane's stack applied?")]
    Missing(String),
    /// They are not valid.
    #[error("the settings below {path}")]
    Invalid {
        /// The path.
        path: String,
        /// What is wrong with them.
        #[source]
        source: ConfigError,
    },
}

impl StoredSettings {
    /// The name of the control plane's own parameter below [`Self::path`].
    pub const CONTROL_PLANE: &str = "plane";

    /// Returns the path below which the settings of a control plane lie, from its own path or its environment's.
    #[must_use]
    pub fn path(of_control_plane: &str) -> String {
        format!("{}/config", of_control_plane.trim_end_matches('/'))
    }

    /// Returns the path of an environment's control plane, as the Terraform module has it, or `None` when no environment has such a
    /// name.
    #[must_use]
    pub fn path_of_environment(name: &str) -> Option<String> {
        let word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        let begins_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        (word && begins_well && name.len() <= 62).then(|| format!("/runnersmith/{name}"))
    }

    /// Reads the settings below [`Self::path`].
    ///
    /// # Errors
    /// When they are missing, unreadable or wrong; a scale set that is wrong is only left out.
    pub async fn read(session: &Session, path: &str) -> Result<Self, StoredSettingsError> {
        let path = path.to_owned();
        let found = match Parameters::new(session).below(&path).await {
            Ok(found) => found,
            Err(source) => return Err(StoredSettingsError::Read { path, source }),
        };
        let Some(control_plane) = found.get(Self::CONTROL_PLANE) else {
            return Err(StoredSettingsError::Missing(format!("{path}/{}", Self::CONTROL_PLANE)));
        };
        let sets: BTreeMap<String, String> = found
            .iter()
            .filter(|(name, _)| name.starts_with("sets/"))
            .map(|(name, value)| (name.clone(), value.expose().to_owned()))
            .collect();
        match Config::from_parameters(&path, control_plane.expose(), &sets) {
            Ok((config, left_out)) => Ok(Self { config, left_out }),
            Err(source) => Err(StoredSettingsError::Invalid { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environments_path_is_the_terraform_modules_and_no_name_leads_elsewhere() {
        let path = StoredSettings::path_of_environment;
        assert_eq!(path("prod_eu-1").as_deref(), Some("/runnersmith/prod_eu-1"));
        assert_eq!(StoredSettings::path("/runnersmith/prod/"), "/runnersmith/prod/config");
        for name in ["", "-a", "_a", "a/b", "../a", "a b", "a.b", &"a".repeat(63)] {
            assert_eq!(path(name), None, "{name:?}");
        }
    }
}
