//! Plan files are sealed before they leave this process: they hold secrets, and a bucket has more readers than that.
//!
//! AES-256-GCM with a key of one's own, or one that is derived from the GitHub App's private key, which who plans and who
//! applies have anyway. The name of the record is authenticated too, so that no plan can stand in for another.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use runnersmith_issueops::change::Digest;
use runnersmith_types::Secret;

/// The first bytes of a sealed record; the last one is the format.
const MAGIC: &[u8] = b"RSPLAN\x01";
/// The fewest bytes of what a key is made from.
const KEY_BYTES_MIN: usize = 32;

/// Why a record was not sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// There is too little to make a key from.
    #[error("the key for plan files has {0} bytes, at least 32 are needed; hint: `openssl rand -base64 32` makes one")]
    ShortKey(usize),
    /// The machine gave no random numbers, or the cipher refused.
    #[error("seal a plan file")]
    Seal,
    /// Another key, another record, or somebody changed it.
    #[error("open a plan file: it is not one that this key sealed under this name")]
    Open,
}

/// Seals and opens.
#[derive(Clone)]
pub struct Seal {
    key: LessSafeKey,
    marks: hmac::Key,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// A seal whose key is derived from a secret: a random one, or the App's private key.
    ///
    /// # Errors
    /// When it has fewer than 32 bytes.
    pub fn new(secret: &Secret) -> Result<Self, SealError> {
        let bytes = secret.expose().trim().as_bytes();
        if bytes.len() < KEY_BYTES_MIN {
            return Err(SealError::ShortKey(bytes.len()));
        }
        let salt = Salt::new(HKDF_SHA256, b"runnersmith plan files 1");
        let prk = salt.extract(bytes);
        let okm = prk.expand(&[b"aes-256-gcm"], &AES_256_GCM).map_err(|_| SealError::Seal)?;
        let marks = prk.expand(&[b"marks"], hmac::HMAC_SHA256).map_err(|_| SealError::Seal)?;
        Ok(Self { key: LessSafeKey::new(UnboundKey::from(okm)), marks: hmac::Key::from(marks) })
    }

    /// Seals bytes that are stored under this name.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub fn seal(&self, name: &str, bytes: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| SealError::Seal)?;
        let mut sealed = bytes.to_vec();
        let aad = Aad::from(name.as_bytes());
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .map_err(|_| SealError::Seal)?;
        Ok([MAGIC, &nonce, &sealed].concat())
    }

    /// A digest of some bytes that nobody can make without the secret: its first digits name the bytes, and nobody can look for other bytes
    /// with the same first digits.
    pub(crate) fn mark(&self, bytes: &[u8]) -> Digest {
        Digest::of(hmac::sign(&self.marks, bytes).as_ref())
    }

    /// Opens what was sealed under this name.
    ///
    /// # Errors
    /// When it was not sealed by this key under this name, or was changed since.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let rest = sealed.strip_prefix(MAGIC).ok_or(SealError::Open)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN).ok_or(SealError::Open)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Open)?;
        let mut opened = sealed.to_vec();
        let length =
            self.key.open_in_place(nonce, Aad::from(name.as_bytes()), &mut opened).map_err(|_| SealError::Open)?.len();
        opened.truncate(length);
        Ok(opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: &str) -> Seal {
        Seal::new(&Secret::new(byte.repeat(32))).unwrap()
    }

    #[test]
    fn what_is_sealed_is_opened_by_the_same_key_and_name_only() {
        let sealed = key("a").seal("one.plan", b"a secret").unwrap();
        assert!(!sealed.windows(8).any(|part| part == b"a secret"));
        assert_eq!(key("a").open("one.plan", &sealed).unwrap(), b"a secret");
        assert_eq!(key("b").open("one.plan", &sealed), Err(SealError::Open));
        assert_eq!(key("a").open("two.plan", &sealed), Err(SealError::Open));
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(key("a").open("one.plan", &changed), Err(SealError::Open), "byte {place}");
        }
        assert_eq!(key("a").open("one.plan", &sealed[..10]), Err(SealError::Open));
        assert_ne!(sealed, key("a").seal("one.plan", b"a secret").unwrap(), "no two are alike");
    }

    #[test]
    fn a_mark_is_of_its_bytes_and_of_its_secret() {
        assert_eq!(key("a").mark(b"files"), key("a").mark(b"files"));
        assert_ne!(key("a").mark(b"files"), key("a").mark(b"other files"));
        assert_ne!(key("a").mark(b"files"), key("b").mark(b"files"));
        assert_ne!(key("a").mark(b"files"), Digest::of(b"files"));
    }

    #[test]
    fn a_short_key_is_refused() {
        assert_eq!(Seal::new(&Secret::new("short")).unwrap_err(), SealError::ShortKey(5));
    }
}
