//! Parameter Store as a place for the App's secrets. Without the feature `aws` it does not exist, and that is said before anything is made.

use runnersmith_types::Secret;

use crate::exit::CommandFailure;

/// Parameters below one path.
pub struct Vault {
    path: String,
    #[cfg(feature = "aws")]
    there: runnersmith_aws::wiring::SecretParameters,
}

fn path_of(path: &str) -> Result<String, CommandFailure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if path.starts_with('/') && path.len() > 1 && path.len() <= 900 && path.chars().all(plain) && !path.contains("//") {
        return Ok(path.trim_end_matches('/').to_owned());
    }
    Err(CommandFailure::config(
        format!("--ssm-path {path:?} is not a path of Parameter Store"),
        "a path such as /runnersmith/acme is needed: letters, digits, `-`, `_`, `.`, `/`",
    ))
}

#[cfg(feature = "aws")]
impl Vault {
    /// A place below a path, where none of these is yet.
    ///
    /// # Errors
    /// When Parameter Store cannot be asked, or has one of them.
    pub async fn new(path: &str, names: &[&str]) -> Result<Self, CommandFailure> {
        let path = path_of(path)?;
        let there = runnersmith_aws::wiring::SecretParameters::from_environment().await;
        let names: Vec<String> = names.iter().map(|name| format!("{path}/{name}")).collect();
        let present = there.present(&names).await.map_err(|failure| {
            CommandFailure::outside(
                format!("look into Parameter Store: {failure}"),
                "credentials and region come from the usual places (AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_REGION); ssm:GetParameters and ssm:PutParameter must be allowed",
            )
        })?;
        if let Some(name) = present.first() {
            return Err(CommandFailure::outside(
                format!("the parameter {name} is there already"),
                "nothing is overwritten: choose another --ssm-path, or delete it",
            ));
        }
        Ok(Self { path, there })
    }

    /// Stores one. Returns its full name.
    ///
    /// # Errors
    /// When Parameter Store refuses.
    pub async fn put(&self, name: &str, value: &Secret) -> Result<String, CommandFailure> {
        let name = format!("{}/{name}", self.path);
        self.there.put(&name, value).await.map_err(|failure| {
            CommandFailure::outside(format!("store {name}: {failure}"), "ssm:PutParameter must be allowed on it")
        })?;
        Ok(name)
    }
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "the same face with and without AWS")]
impl Vault {
    /// Parameter Store is not in this program.
    ///
    /// # Errors
    /// Always.
    pub async fn new(path: &str, _names: &[&str]) -> Result<Self, CommandFailure> {
        let path = path_of(path)?;
        Err(CommandFailure::config(
            format!("--ssm-path {path}: this program was built without AWS"),
            "build it with `cargo build --profile dist --features aws`, or use --key-out and --env-out",
        ))
    }

    /// Never called: there is no vault.
    ///
    /// # Errors
    /// Always.
    pub async fn put(&self, name: &str, _value: &Secret) -> Result<String, CommandFailure> {
        Err(CommandFailure::internal(format!("store {}/{name} without AWS", self.path)))
    }
}
