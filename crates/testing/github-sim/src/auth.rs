//! Keys, JWTs and tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey, EncodeRsaPublicKey, LineEnding};
use serde_json::Value;

use crate::SimError;
use crate::time;

/// Makes an App's private key, as GitHub would give it: RSA 2048, PKCS#1 PEM.
///
/// The `rsa` crate only makes and reads throw-away keys here; it never signs or decrypts, so its timing side channel
/// (RUSTSEC-2023-0071) has nothing to leak.
///
/// # Errors
/// When the key cannot be made.
pub fn generate_app_key() -> Result<String, SimError> {
    let key =
        rsa::RsaPrivateKey::new(&mut rand::rngs::OsRng, 2048).map_err(|error| SimError::Key(error.to_string()))?;
    let pem = key.to_pkcs1_pem(LineEnding::LF).map_err(|error| SimError::Key(error.to_string()))?;
    Ok(pem.to_string())
}

/// The public half, PKCS#1 DER.
pub(crate) fn public_key(pem: &str) -> Result<Vec<u8>, SimError> {
    let key = rsa::RsaPrivateKey::from_pkcs1_pem(pem).map_err(|error| SimError::Key(error.to_string()))?;
    let public = key.to_public_key().to_pkcs1_der().map_err(|error| SimError::Key(error.to_string()))?;
    Ok(public.as_bytes().to_vec())
}

/// Checks an App's JWT. Answers its issuer.
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
