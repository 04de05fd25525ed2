//! The App's private key as people keep it: the PEM file that GitHub gives, or Base64 of that file, because a variable and a
//! parameter hold one line more easily than many.
//!
//! It is apart from the signer because each program reads its secrets elsewhere and means the same by them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runnersmith_types::Secret;

const BEGIN: &str = "-----BEGIN";
const END: &str = "-----END";

/// Why a text is no private key. No error shows any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppKeyError {
    /// It is something else.
    #[error("is neither a PEM file nor Base64 of one")]
    NotPem,
    /// It was cut off.
    #[error("begins like a PEM file and has no -----END line; it was cut off")]
    CutOff,
}

/// Returns the PEM file: the text itself, or what it is Base64 of. Blanks around and within Base64 are allowed.
///
/// # Errors
/// When the text is neither, or the file has no end.
pub fn private_key_pem(text: &Secret) -> Result<Secret, AppKeyError> {
    let text = text.expose();
    let pem = if text.contains(BEGIN) { text.to_owned() } else { decoded(text).ok_or(AppKeyError::NotPem)? };
    if pem.contains(END) { Ok(Secret::new(pem)) } else { Err(AppKeyError::CutOff) }
}

fn decoded(text: &str) -> Option<String> {
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let text = String::from_utf8(STANDARD.decode(compact).ok()?).ok()?;
    text.contains(BEGIN).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";

    fn read(text: &str) -> Result<String, AppKeyError> {
        private_key_pem(&Secret::new(text)).map(|pem| pem.expose().to_owned())
    }

    #[test]
    fn a_key_is_read_from_pem_and_from_base64_in_one_line_or_many() {
        let base64 = STANDARD.encode(PEM);
        let (first, rest) = base64.split_at(20);
        for text in [PEM, &base64, &format!(" {first}\n{rest}\n")] {
            assert_eq!(read(text).as_deref(), Ok(PEM));
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_one_that_was_cut_off_is_called_so() {
        for text in ["", "sesame!", "c2VjcmV0", "----- BEGIN", "/wAA"] {
            assert_eq!(read(text), Err(AppKeyError::NotPem), "{text:?}");
        }
        let cut_off = PEM.split("-----END").next().unwrap_or_default();
        for text in [cut_off, &STANDARD.encode(cut_off)] {
            let error = read(text).unwrap_err();
            assert_eq!(error, AppKeyError::CutOff);
            assert!(!error.to_string().contains("AAAA"), "{error}");
        }
    }
}
