//! Looks into a saved plan, which is a zip (<https://developer.hashicorp.com/terraform/internals/json-format> does not describe it;
//! the members have had these names since Terraform 0.12 and have them in OpenTofu).
//!
//! The state that a plan was made from is read here and not from the backend: this member is the very one that Terraform compares
//! with the state when it refuses a stale plan, while a state that is pulled before or after may be another one.

use std::io::{Cursor, Read as _};

use runnersmith_issueops_engine::{ProvisionError, StateId};
use serde::Deserialize;

/// The member with the state that the plan was made from.
const STATE: &str = "tfstate";
/// The file with the versions of providers; a plan has it as a member of this name.
pub(crate) const LOCK_FILE: &str = ".terraform.lock.hcl";
/// The largest member that is read, in bytes.
const MEMBER_MAX: u64 = 256 * 1024 * 1024;

#[derive(Deserialize)]
struct StateHead {
    #[serde(default)]
    lineage: String,
    #[serde(default)]
    serial: u64,
}

/// Which state this is; nothing at all where no state exists yet.
pub(crate) fn state_id(state: &[u8]) -> Result<StateId, ProvisionError> {
    if state.trim_ascii().is_empty() {
        return Ok(StateId::default());
    }
    // The parser's own words may quote the state, so they are not given.
    let head: StateHead = serde_json::from_slice(state)
        .map_err(|error| ProvisionError::Unable(format!("the state is not readable (line {})", error.line())))?;
    Ok(StateId { lineage: head.lineage, serial: head.serial })
}

fn member(plan: &[u8], name: &str) -> Result<Option<Vec<u8>>, ProvisionError> {
    let unable =
        |error: &dyn std::fmt::Display| ProvisionError::Unable(format!("the plan file is not readable: {error}"));
    let mut archive = zip::ZipArchive::new(Cursor::new(plan)).map_err(|error| unable(&error))?;
    let mut content = Vec::new();
    match archive.by_name(name) {
        Ok(found) => found.take(MEMBER_MAX + 1).read_to_end(&mut content).map_err(|error| unable(&error))?,
        Err(zip::result::ZipError::FileNotFound) => return Ok(None),
        Err(error) => return Err(unable(&error)),
    };
    if content.len() as u64 > MEMBER_MAX {
        return Err(unable(&format!("{name} has more than {MEMBER_MAX} bytes")));
    }
    Ok(Some(content))
}

/// The state that a plan was made from.
pub(crate) fn made_from(plan: &[u8]) -> Result<StateId, ProvisionError> {
    match member(plan, STATE)? {
        Some(state) => state_id(&state),
        None => Err(ProvisionError::Unable("the plan file does not say which state it was made from".into())),
    }
}

/// The versions of providers that a plan was made with.
pub(crate) fn lock_file(plan: &[u8]) -> Result<Option<Vec<u8>>, ProvisionError> {
    member(plan, LOCK_FILE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails panics")]

    use super::*;

    #[test]
    fn what_is_no_plan_is_an_error_that_quotes_nothing() {
        assert!(made_from(b"not a zip").is_err());
        let error = state_id(b"{\"lineage\": \"correct horse\", \"serial\": -1}").unwrap_err();
        assert!(!error.to_string().contains("horse"), "{error}");
        assert_eq!(state_id(b"\n").unwrap(), StateId::default());
        let some = state_id(br#"{"version":4,"lineage":"l","serial":3}"#).unwrap();
        assert_eq!(some, StateId { lineage: "l".into(), serial: 3 });
    }
}
