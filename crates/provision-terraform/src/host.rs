//! What Terraform writes into the lock of a state about who holds it: `user@host`. We say it beforehand, so that the lock of a run
//! that died can be known from anybody else's.

use nix::unistd::{User, gethostname, getuid};

/// The user that Go finds: of `/etc/passwd`, else of the environment, else none.
pub(crate) fn user() -> Option<String> {
    let known = User::from_uid(getuid()).ok().flatten().map(|user| user.name);
    known.or_else(|| std::env::var("USER").ok()).filter(|name| !name.is_empty())
}

/// What the lock of a state says of Terraform processes that this process starts: `user@host`.
#[must_use]
pub fn who() -> String {
    let host = gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    format!("{}@{host}", user().unwrap_or_default())
}
