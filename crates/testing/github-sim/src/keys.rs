//! Keys, JWTs and tokens.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::KeyPair as _;
use rustls::pki_types::PrivatePkcs1KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use crate::options::SimError;
use crate::time;

/// Throw-away keys. They protect nothing: only this simulator knows them. A key that is kept costs no time, where one that is
/// made takes seconds without optimisation, and no library that makes keys is linked.
const APP_KEYS: [&str; 4] =
    [include_str!("keys/1.pem"), include_str!("keys/2.pem"), include_str!("keys/3.pem"), include_str!("keys/4.pem")];

/// Returns an App's private key as GitHub would give it: RSA 2048, PKCS#1 PEM. Four calls in a row give four keys; then they
/// come again.
#[must_use]
pub fn app_key() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed) % APP_KEYS.len();
    APP_KEYS.get(next).copied().unwrap_or_default().to_owned()
}

/// The public half, PKCS#1 DER.
pub(crate) fn public_key(pem: &str) -> Result<Vec<u8>, SimError> {
    let der = PrivatePkcs1KeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| SimError::Key(error.to_string()))?;
    let key = ring::rsa::KeyPair::from_der(der.secret_pkcs1_der()).map_err(|error| SimError::Key(error.to_string()))?;
    Ok(key.public_key().as_ref().to_vec())
}

/// Checks an App's JWT. Returns its issuer, what was signed, and the signature.
pub(crate) fn issuer(token: &str) -> Option<(String, Vec<u8>, Vec<u8>)> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    if header.get("alg")?.as_str()? != "RS256" {
        return None;
    }
    let (iat, exp) = (claims.get("iat")?.as_i64()?, claims.get("exp")?.as_i64()?);
    let now = time::now_ms() / 1000;
    // GitHub allows ten minutes at most, and clocks that differ a little.
    if iat > now + 60 || exp <= now || exp - iat > 660 {
        return None;
    }
    let iss = claims.get("iss")?;
    let iss = iss.as_str().map_or_else(|| iss.to_string(), str::to_owned);
    Some((iss, signed.as_bytes().to_vec(), URL_SAFE_NO_PAD.decode(signature).ok()?))
}

/// Verifies RS256.
pub(crate) fn verifies(public_der: &[u8], message: &[u8], signature: &[u8]) -> bool {
    ring::signature::UnparsedPublicKey::new(&ring::signature::RSA_PKCS1_2048_8192_SHA256, public_der)
        .verify(message, signature)
        .is_ok()
}

/// HMAC of a delivery's body, hexadecimal.
pub(crate) fn hmac(secret: &str, body: &[u8], algorithm: ring::hmac::Algorithm) -> String {
    let key = ring::hmac::Key::new(algorithm, secret.as_bytes());
    hex::encode(ring::hmac::sign(&key, body))
}
