//! Which environment variables reach Terraform: a list of names, because a child that gets all of ours gets the tokens of GitHub,
//! of the database and of whatever else the process was started with, and runs code of providers beside them.

use std::collections::BTreeMap;
use std::ffi::OsString;

use runnersmith_issueops_engine::ProvisionError;
use runnersmith_types::Secret;

/// Names of the parent that are passed on and say nothing secret.
const OPEN: &[&str] = &[
    "PATH",
    "HOME",
    "TMPDIR",
    // Go asks these when the user has no line in /etc/passwd, as in many containers.
    "USER",
    // Go reads certificates from here.
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    // Of Terraform: where providers come from, and where they are kept.
    "TF_CLI_CONFIG_FILE",
    "TF_PLUGIN_CACHE_DIR",
    // Of the AWS SDKs: <https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html>.
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_SDK_LOAD_CONFIG",
    "AWS_CA_BUNDLE",
    "AWS_ENDPOINT_URL",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_STS_REGIONAL_ENDPOINTS",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AWS_MAX_ATTEMPTS",
    "AWS_RETRY_MODE",
];

/// Beginnings of such names: an endpoint for each of AWS's services.
const OPEN_BEGINNINGS: &[&str] = &["AWS_ENDPOINT_URL_"];

/// Proxies: their addresses can have a password in them.
const PROXIES: &[&str] =
    &["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy"];

/// Who we are at AWS. These go together: a key of one identity and the session of another are nobody.
const CREDENTIALS: &[(&str, bool)] = &[
    ("AWS_ACCESS_KEY_ID", true),
    ("AWS_SECRET_ACCESS_KEY", true),
    ("AWS_SESSION_TOKEN", true),
    ("AWS_PROFILE", false),
    ("AWS_DEFAULT_PROFILE", false),
    ("AWS_ROLE_ARN", false),
    ("AWS_ROLE_SESSION_NAME", false),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", false),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", false),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", false),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN", true),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", false),
];

/// Beginnings of names that nobody may set: they change what is run, where its data lie, or write secrets into a log.
const REFUSED_BEGINNINGS: &[&str] =
    &["TF_CLI_ARGS", "TF_DATA_DIR", "TF_LOG", "TF_REATTACH_PROVIDERS", "TF_WORKSPACE", "LD_", "DYLD_"];

/// The child's environment, and what of it must never be seen.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    pub(crate) variables: BTreeMap<OsString, OsString>,
    pub(crate) secrets: Vec<Secret>,
}

fn is_open(name: &str) -> bool {
    OPEN.contains(&name) || OPEN_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// Chooses from the parent's variables and adds the given ones.
pub(crate) fn choose(
    parent: impl Iterator<Item = (OsString, OsString)>,
    given: &[(String, Secret)],
) -> Result<Environment, ProvisionError> {
    let mut chosen = Environment::default();
    let own_credentials =
        given.iter().any(|(name, _)| CREDENTIALS.iter().any(|(credential, _)| *credential == name.as_str()));
    for (name, value) in parent {
        let (Some(name), Some(text)) = (name.to_str(), value.to_str()) else { continue };
        if text.is_empty() {
            continue;
        }
        let credential = CREDENTIALS.iter().find(|(credential, _)| *credential == name);
        if PROXIES.contains(&name) {
            chosen.secrets.extend(password_in(text));
        } else if let Some((_, secret)) = credential {
            if own_credentials {
                continue;
            }
            if *secret {
                chosen.secrets.push(Secret::new(text));
            }
        } else if !is_open(name) {
            continue;
        }
        chosen.variables.insert(name.into(), value);
    }
    for (name, value) in given {
        let text = value.expose();
        if name.is_empty() || name.contains(['=', '\0']) || text.contains('\0') {
            return Err(ProvisionError::Unable(format!("{name:?} cannot be an environment variable")));
        }
        if REFUSED_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)) {
            return Err(ProvisionError::Unable(format!("the environment variable {name} would change what is run")));
        }
        let open_credential = CREDENTIALS.iter().any(|(credential, secret)| credential == name && !secret);
        if !is_open(name) && !open_credential {
            chosen.secrets.push(value.clone());
        }
        chosen.variables.insert(name.into(), text.into());
    }
    Ok(chosen)
}

/// The `user:password` of a proxy's address.
fn password_in(address: &str) -> Option<Secret> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let (user_and_password, _) = rest.rsplit_once('@')?;
    let password = user_and_password.split_once(':').map_or(user_and_password, |(_, password)| password);
    Some(Secret::new(password))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails panics")]

    use super::*;

    fn parent(pairs: &[(&str, &str)]) -> std::vec::IntoIter<(OsString, OsString)> {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn only_what_is_listed_reaches_the_child() {
        let chosen = choose(
            parent(&[
                ("PATH", "/bin"),
                ("GITHUB_TOKEN", "ghs_1"),
                ("TF_VAR_x", "1"),
                ("TF_LOG", "trace"),
                ("AWS_REGION", "eu-central-1"),
                ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1"),
                ("HTTPS_PROXY", "http://me:correct-horse@proxy:3128"),
            ]),
            &[("TF_VAR_github_app".into(), Secret::new("value of an app"))],
        )
        .unwrap();
        let names: Vec<_> = chosen.variables.keys().map(|name| name.to_str().unwrap()).collect();
        assert_eq!(names, ["AWS_ENDPOINT_URL_S3", "AWS_REGION", "HTTPS_PROXY", "PATH", "TF_VAR_github_app"]);
        let secrets: Vec<_> = chosen.secrets.iter().map(Secret::expose).collect();
        assert_eq!(secrets, ["correct-horse", "value of an app"]);
    }

    #[test]
    fn credentials_of_two_identities_are_never_mixed() {
        let ours = parent(&[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SESSION_TOKEN", "t"), ("AWS_PROFILE", "p")]);
        let chosen = choose(ours, &[("AWS_ACCESS_KEY_ID".into(), Secret::new("b"))]).unwrap();
        assert_eq!(chosen.variables.len(), 1);
    }

    #[test]
    fn what_changes_the_command_is_refused() {
        for name in ["TF_CLI_ARGS_apply", "TF_LOG", "TF_DATA_DIR", "LD_PRELOAD", "a=b", ""] {
            assert!(choose(parent(&[]), &[(name.into(), Secret::new("x"))]).is_err(), "{name}");
        }
    }
}
