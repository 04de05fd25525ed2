//! The App's credentials by the names of the philips-labs module's secrets, so that a repository that has them needs no others.
//!
//! A workflow passes a secret that is not set as an empty variable: empty is the same as not there.

use runnersmith_github::{AppCredentials, GitHubConfig, api_base, private_key_pem};
use runnersmith_types::Secret;

use crate::exit::CommandFailure;

/// The App's number.
pub const APP_ID: &str = "APP_ID";
/// Its private key, Base64 of the PEM file.
pub const APP_KEY_BASE64: &str = "APP_KEY_BASE64";
/// Its client id; GitHub accepts it in place of the number.
pub const APP_CLIENT_ID: &str = "APP_CLIENT_ID";
/// Its client secret. Nothing here signs people in; it is kept because the philips-labs module takes it.
pub const APP_CLIENT_SECRET: &str = "APP_CLIENT_SECRET";
/// The address of a GitHub Enterprise Server; blank for github.com.
pub const ENTERPRISE_SERVER_URL: &str = "ENTERPRISE_SERVER_URL";
/// The secret that signs deliveries.
pub const WEBHOOK_SECRET: &str = "WEBHOOK_SECRET";

/// A variable's value without blanks around it.
fn said(value: String) -> Option<String> {
    Some(value.trim().to_owned()).filter(|text| !text.is_empty())
}

/// A variable of the environment; blank is the same as not there.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().and_then(said)
}

/// Who the App is, by its number or else by its client id.
pub fn app_id(get: impl Fn(&str) -> Option<String>) -> Option<String> {
    get(APP_ID).or_else(|| get(APP_CLIENT_ID))
}

/// What the environment says about the App.
#[derive(Clone)]
pub struct AppEnvironment {
    /// How to reach GitHub, and as whom.
    pub github: GitHubConfig,
    /// The secret that signs deliveries.
    pub webhook_secret: Option<Secret>,
}

/// Reads the environment. `None` when it names neither an App nor a key.
///
/// # Errors
/// When only a part is there, or a part cannot be what its name says; the error names the variable and says what to do.
pub fn from_environment() -> Result<Option<AppEnvironment>, CommandFailure> {
    from_variables(|name| std::env::var(name).ok())
}

/// The server that the environment names; github.com if it names none.
///
/// # Errors
/// When it is not an address.
pub fn server_url(given: Option<&str>) -> Result<String, CommandFailure> {
    let Some(url) = given.map(str::trim).filter(|url| !url.is_empty()) else {
        return Ok("https://github.com".to_owned());
    };
    // People copy the API's address; what is wanted is the one that a browser shows.
    let url = url.trim_end_matches('/');
    let url = url.strip_suffix("/api/v3").unwrap_or(url);
    match api_base(url) {
        Ok(_) => Ok(url.to_owned()),
        Err(error) => Err(CommandFailure::config(
            format!("the server (--server-url, {ENTERPRISE_SERVER_URL}): {error}"),
            "give the server's address as a browser shows it, such as https://github.acme.corp; leave it blank for github.com",
        )),
    }
}

fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Option<AppEnvironment>, CommandFailure> {
    let get = |name: &str| get(name).and_then(said);
    let (id, key) = (app_id(get), get(APP_KEY_BASE64));
    let (app_id, key) = match (id, key) {
        (None, None) => return Ok(None),
        (Some(id), Some(key)) => (id, key_of(&key)?),
        (Some(_), None) => {
            return Err(CommandFailure::config(
                format!("{APP_ID} is set and {APP_KEY_BASE64} is not"),
                "set it to the App's private key: base64 -w0 app.private-key.pem",
            ));
        }
        (None, Some(_)) => {
            return Err(CommandFailure::config(
                format!("{APP_KEY_BASE64} is set and neither {APP_ID} nor {APP_CLIENT_ID} is"),
                "set it to the App ID that the App's settings page shows",
            ));
        }
    };
    if !app_id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.') {
        return Err(CommandFailure::config(
            format!("{APP_ID} is neither a number nor a client id"),
            "take the App ID or the Client ID from the App's settings page",
        ));
    }
    let server = server_url(get(ENTERPRISE_SERVER_URL).as_deref())?;
    let github = GitHubConfig::new(&server, AppCredentials { app_id, private_key_pem: key });
    Ok(Some(AppEnvironment { github, webhook_secret: get(WEBHOOK_SECRET).map(Secret::new) }))
}

/// Base64 of a PEM file, or the file itself. No error shows any of it.
fn key_of(text: &str) -> Result<Secret, CommandFailure> {
    private_key_pem(&Secret::new(text)).map_err(|error| {
        CommandFailure::config(
            format!("{APP_KEY_BASE64} {error}"),
            "set it to the output of: base64 -w0 app.private-key.pem",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;

    const PEM: &str = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";

    fn read(variables: &[(&str, &str)]) -> Result<Option<AppEnvironment>, CommandFailure> {
        from_variables(|name| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_philips_labs_modules_names_are_read_and_blank_is_not_there() {
        let key = base64::engine::general_purpose::STANDARD.encode(PEM);
        let found = read(&[
            (APP_ID, "42"),
            (APP_KEY_BASE64, &key),
            (APP_CLIENT_ID, ""),
            (APP_CLIENT_SECRET, "not used"),
            (ENTERPRISE_SERVER_URL, "  "),
            (WEBHOOK_SECRET, "s\n"),
        ]);
        let found = found.unwrap().unwrap();
        let app = found.github.app.unwrap();
        assert_eq!((found.github.server_url.as_str(), app.app_id.as_str()), ("https://github.com", "42"));
        assert_eq!((app.private_key_pem.expose(), found.webhook_secret.unwrap().expose()), (PEM, "s"));
        assert!(read(&[(APP_ID, ""), (APP_KEY_BASE64, " ")]).unwrap().is_none());
        let by_client = read(&[(APP_CLIENT_ID, "Iv1.8a61f9b3a7aba766"), (APP_KEY_BASE64, PEM)]).unwrap().unwrap();
        assert_eq!(by_client.github.app.unwrap().app_id, "Iv1.8a61f9b3a7aba766");
    }

    #[test]
    fn a_server_is_named_as_a_browser_shows_it() {
        for (given, wanted) in [
            ("https://github.acme.corp/", "https://github.acme.corp"),
            ("https://github.acme.corp/api/v3/", "https://github.acme.corp"),
            ("https://acme.ghe.com", "https://acme.ghe.com"),
        ] {
            assert_eq!(server_url(Some(given)).unwrap(), wanted);
        }
        assert!(server_url(Some("github.acme.corp")).unwrap_err().what.contains(ENTERPRISE_SERVER_URL));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_variable_and_no_secret_is_shown() {
        let wrong: [(&[(&str, &str)], &str); 5] = [
            (&[(APP_ID, "42")], APP_KEY_BASE64),
            (&[(APP_KEY_BASE64, PEM)], APP_ID),
            (&[(APP_ID, "42"), (APP_KEY_BASE64, "c2VjcmV0")], APP_KEY_BASE64),
            (&[(APP_ID, "42"), (APP_KEY_BASE64, "sesame!")], APP_KEY_BASE64),
            (&[(APP_ID, "4 2"), (APP_KEY_BASE64, PEM)], APP_ID),
        ];
        for (variables, named) in wrong {
            let Err(failure) = read(variables) else { panic!("{variables:?} was accepted") };
            let shown = format!("{failure:?}");
            assert!(failure.what.contains(named) && failure.hint.is_some(), "{shown}");
            assert!(!shown.contains("sesame") && !shown.contains("c2VjcmV0") && !shown.contains("AAAA"), "{shown}");
        }
    }
}
