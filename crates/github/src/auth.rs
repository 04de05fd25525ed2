//! The App's JWT: RS256, made by hand because it is forty lines and every library for it brings a second crypto stack.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use runnersmith_types::{Secret, Timestamp};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

use crate::config::{AppCredentials, GitHubConfigError};

/// GitHub refuses a JWT from the future, and clocks differ: it is dated back by this many seconds.
const SKEW_SECONDS: i64 = 60;
/// GitHub allows ten minutes at most.
const LIFE_SECONDS: i64 = 540;

pub(crate) struct Signer {
    issuer: String,
    key: RsaKeyPair,
    random: SystemRandom,
}

impl Signer {
    pub fn new(app: &AppCredentials) -> Result<Self, GitHubConfigError> {
        Ok(Self { issuer: app.app_id.clone(), key: key(app.private_key_pem.expose())?, random: SystemRandom::new() })
    }

    pub fn jwt(&self, now: Timestamp) -> Result<Secret, ring::error::Unspecified> {
        let mut jti = [0_u8; 12];
        ring::rand::SecureRandom::fill(&self.random, &mut jti)?;
        let claims = serde_json::json!({
            "iat": now.as_secs() - SKEW_SECONDS, "exp": now.as_secs() + LIFE_SECONDS, "iss": self.issuer,
            // Without it, two JWTs of one second are the same, and GitHub has answered 401 to the second.
            "jti": URL_SAFE_NO_PAD.encode(jti),
        });
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &self.random, signed.as_bytes(), &mut signature)?;
        Ok(Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

/// Reads PKCS#1 ("BEGIN RSA PRIVATE KEY", as GitHub gives it) or PKCS#8. No error shows any of the key.
fn key(pem: &str) -> Result<RsaKeyPair, GitHubConfigError> {
    // A file that was pasted may be indented.
    let text: Vec<&str> = pem.lines().map(str::trim).collect();
    let key = match PrivateKeyDer::from_pem_slice(text.join("\n").as_bytes()) {
        Ok(PrivateKeyDer::Pkcs1(der)) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        Ok(PrivateKeyDer::Pkcs8(der)) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        Ok(_) => return Err(GitHubConfigError::Key("it is no RSA key, as GitHub gives them".into())),
        Err(_) => {
            return Err(GitHubConfigError::Key(
                "it is not PEM of a private key; a file that begins with -----BEGIN RSA PRIVATE KEY----- is needed (if it is \
                 base64 of one, decode it first)"
                    .into(),
            ));
        }
    };
    key.map_err(|error| GitHubConfigError::Key(error.to_string()))
}
