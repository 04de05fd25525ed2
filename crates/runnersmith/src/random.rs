//! Words that nobody can guess. What is done without any is the caller's.

use ring::rand::{SecureRandom as _, SystemRandom};

/// So many random bytes in hexadecimal digits; `None` when the system gives none.
pub fn random_hex<const BYTES: usize>() -> Option<String> {
    let mut bytes = [0_u8; BYTES];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
