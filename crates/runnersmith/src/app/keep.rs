//! Where a new App's key and secrets are kept. GitHub shows them once, so every place is made sure of before the App is made.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use runnersmith_github::app_admin::NewApp;
use runnersmith_types::Secret;

use crate::app::options::Create;
use crate::app::vault::Vault;
use crate::credentials as name;
use crate::exit::CommandFailure;

/// Where everything goes if nothing is said.
const ENV_FILE: &str = "runnersmith-app.env";
/// The parameters' names below the path.
const PARAMETERS: [&str; 5] = ["app-id", "private-key", "client-id", "client-secret", "webhook-secret"];

/// A file that is ours already and empty. It is gone again unless it is filled.
struct Reserved {
    path: PathBuf,
    file: File,
    filled: bool,
}

impl Reserved {
    fn new(path: &Path) -> Result<Self, CommandFailure> {
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = opened.map_err(|error| {
            let hint = if error.kind() == std::io::ErrorKind::AlreadyExists {
                "nothing is overwritten: name another file, or move this one away"
            } else {
                "its directory must exist and be writable by you"
            };
            CommandFailure::outside(format!("make {}: {error}", path.display()), hint)
        })?;
        Ok(Self { path: path.to_owned(), file, filled: false })
    }

    fn fill(&mut self, content: &Secret) -> std::io::Result<()> {
        // From here on a part of the only copy may be in it.
        self.filled = true;
        self.file.write_all(content.expose().as_bytes())?;
        self.file.sync_all()
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.filled {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The places.
pub struct Places {
    key: Option<Reserved>,
    variables: Option<Reserved>,
    vault: Option<Vault>,
}

/// Where things were put.
#[derive(Debug, Default, serde::Serialize)]
pub struct Kept {
    /// The file with the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// The file with the variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_file: Option<String>,
    /// The parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<String>,
}

impl Places {
    /// Makes sure of every place that was named.
    ///
    /// # Errors
    /// When something is there already, or nothing can be put there.
    pub async fn reserve(options: &Create) -> Result<Self, CommandFailure> {
        let vault = match &options.ssm_path {
            Some(path) => Some(Vault::new(path, &PARAMETERS).await?),
            None => None,
        };
        let key = options.key_out.as_deref().map(Reserved::new).transpose()?;
        // The key alone is not enough: the secrets of webhook and client need a place too.
        let variables = match (&options.env_out, &vault) {
            (Some(path), _) => Some(Reserved::new(path)?),
            (None, None) => Some(Reserved::new(Path::new(ENV_FILE))?),
            (None, Some(_)) => None,
        };
        Ok(Self { key, variables, vault })
    }

    /// Fills them.
    ///
    /// # Errors
    /// When a place that was sure is not any more. The App exists then, and the error says what to do.
    pub async fn fill(
        mut self,
        made: &NewApp,
        webhook_secret: &Secret,
        server_url: &str,
    ) -> Result<Kept, CommandFailure> {
        let mut kept = Kept::default();
        let lost = |what: String| {
            let hint = "the App exists: generate a new private key (and client secret) on its settings page, or delete it there";
            CommandFailure::outside(what, hint)
        };
        if let Some(place) = &mut self.key {
            let shown = place.path.display().to_string();
            place.fill(&made.private_key_pem).map_err(|error| lost(format!("write {shown}: {error}")))?;
            kept.key_file = Some(shown);
        }
        if let Some(place) = &mut self.variables {
            let shown = place.path.display().to_string();
            let text = variables(made, webhook_secret, server_url);
            place.fill(&text).map_err(|error| lost(format!("write {shown}: {error}")))?;
            kept.env_file = Some(shown);
        }
        if let Some(vault) = &self.vault {
            let id = Secret::new(made.view.id.to_string());
            let client_id = Secret::new(made.client_id.clone());
            let values = [&id, &made.private_key_pem, &client_id, &made.client_secret, webhook_secret];
            for (name, value) in PARAMETERS.into_iter().zip(values) {
                let put = vault.put(name, value).await;
                kept.parameters.push(put.map_err(|failure| lost(failure.what))?);
            }
        }
        Ok(kept)
    }
}

/// The file of variables, under the names of the philips-labs module's secrets. None of the values has a character that a shell would read.
fn variables(made: &NewApp, webhook_secret: &Secret, server_url: &str) -> Secret {
    let key = base64::engine::general_purpose::STANDARD.encode(made.private_key_pem.expose());
    let mut lines = vec![
        (name::APP_ID, made.view.id.to_string()),
        (name::APP_CLIENT_ID, made.client_id.clone()),
        (name::APP_CLIENT_SECRET, made.client_secret.expose().to_owned()),
        (name::APP_KEY_BASE64, key),
        (name::WEBHOOK_SECRET, webhook_secret.expose().to_owned()),
    ];
    if server_url != "https://github.com" {
        lines.push((name::ENTERPRISE_SERVER_URL, server_url.to_owned()));
    }
    Secret::new(lines.into_iter().map(|(name, value)| format!("{name}={value}\n")).collect::<String>())
}
