//! Whether a delivery is GitHub's: its signature over the raw bytes, before anything in them is read.

use ring::hmac;
use runnersmith_types::Secret;

/// Why a delivery is not GitHub's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No signature that may be used.
    #[error("the header X-Hub-Signature-256 is missing")]
    Missing,
    /// Not hexadecimal, or not of the right length.
    #[error("the signature is malformed")]
    Malformed,
    /// It is another secret's, or the body was changed.
    #[error("the signature does not match")]
    Mismatch,
}

/// The longest text that is decoded; GitHub's signatures have 64 digits, or 40.
const SIGNATURE_DIGITS_MAX: usize = 128;

/// Checks a delivery's signature in constant time against one secret, or two during a rotation.
///
/// # Errors
/// When it is missing, malformed, or of another secret.
pub fn verify(
    secrets: &[Secret],
    sha256: Option<&str>,
    sha1: Option<&str>,
    allow_sha1: bool,
    body: &[u8],
) -> Result<(), SignatureError> {
    let (text, prefix, algorithm) = match (sha256, sha1) {
        (Some(text), _) => (text, "sha256=", hmac::HMAC_SHA256),
        (None, Some(text)) if allow_sha1 => (text, "sha1=", hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        (None, _) => return Err(SignatureError::Missing),
    };
    let signature = text.strip_prefix(prefix).and_then(unhex).ok_or(SignatureError::Malformed)?;
    let matches = |secret: &Secret| {
        let key = hmac::Key::new(algorithm, secret.expose().as_bytes());
        // An empty secret would make every delivery ours.
        !secret.expose().is_empty() && hmac::verify(&key, body, &signature).is_ok()
    };
    if secrets.iter().any(matches) { Ok(()) } else { Err(SignatureError::Mismatch) }
}

/// The bytes of a hexadecimal text that can be a signature.
fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() > SIGNATURE_DIGITS_MAX {
        return None;
    }
    hex::decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_secret_over_the_right_bytes_verifies() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"right");
        let right = format!("sha256={}", hex::encode(hmac::sign(&key, b"body")));
        let secrets = [Secret::new("old"), Secret::new("right")];
        assert!(verify(&secrets, Some(&right), None, false, b"body").is_ok());
        assert_eq!(verify(&secrets, Some(&right), None, false, b"bodY").unwrap_err(), SignatureError::Mismatch);
        assert_eq!(verify(&secrets[..1], Some(&right), None, false, b"body").unwrap_err(), SignatureError::Mismatch);
        assert_eq!(verify(&secrets, None, Some("sha1=00"), false, b"body").unwrap_err(), SignatureError::Missing);
        for bad in ["", "sha256=", "sha256=zz", "sha1=00", "sha256=0", "sha256=é0"] {
            assert!(verify(&secrets, Some(bad), None, true, b"body").is_err(), "{bad:?}");
        }
        let empty = hmac::Key::new(hmac::HMAC_SHA256, b"");
        let signed = format!("sha256={}", hex::encode(hmac::sign(&empty, b"body")));
        assert!(
            verify(&[Secret::new("")], Some(&signed), None, false, b"body").is_err(),
            "an empty secret verifies nothing"
        );
    }
}
