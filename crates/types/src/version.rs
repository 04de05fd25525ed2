//! The number of a stored form.
//!
//! It is in each record that is stored or sent on its own, so that a program can refuse what a newer one wrote instead of reading
//! half of it: a ledger and a queue outlive the program, and a program can be set back to an earlier version.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The version of a record's form: a field of the record, `record_version` by name, that takes no room in memory.
///
/// It is written as the number `CURRENT`. Each number up to `CURRENT` is read, since what a later version added has a default;
/// a greater one is an error. Records that were written before there was a number have none: the field is `#[serde(default)]`,
/// and they count as version 1. A number grows when an earlier program would misread the record, not with each new field.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordVersion<const CURRENT: u16>;

impl<const CURRENT: u16> RecordVersion<CURRENT> {
    /// The version that this program writes.
    pub const CURRENT: Self = Self;

    /// Returns the number that is written.
    #[must_use]
    pub const fn number(self) -> u16 {
        CURRENT
    }
}

impl<const CURRENT: u16> fmt::Debug for RecordVersion<CURRENT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        CURRENT.fmt(f)
    }
}

impl<const CURRENT: u16> Serialize for RecordVersion<CURRENT> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(CURRENT)
    }
}

impl<'de, const CURRENT: u16> Deserialize<'de> for RecordVersion<CURRENT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = u64::deserialize(deserializer)?;
        if found > u64::from(CURRENT) {
            return Err(D::Error::custom(format_args!(
                "written by a newer version of Runnersmith (record version {found}, this program knows {CURRENT})"
            )));
        }
        Ok(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Record<const CURRENT: u16> {
        name: String,
        #[serde(default)]
        record_version: RecordVersion<CURRENT>,
    }

    fn read<const CURRENT: u16>(text: &str) -> Result<Record<CURRENT>, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_says_the_current_version() {
        let record = Record { name: "a".into(), record_version: RecordVersion::<2>::CURRENT };
        let written = serde_json::to_string(&record).unwrap();
        assert_eq!(written, r#"{"name":"a","record_version":2}"#);
        assert_eq!(read(&written), Ok(record));
        assert_eq!(size_of::<RecordVersion<2>>(), 0);
    }

    #[test]
    fn a_record_of_an_earlier_version_or_without_a_number_is_read() {
        for text in [r#"{"name":"a"}"#, r#"{"name":"a","record_version":1}"#, r#"{"name":"a","record_version":2}"#] {
            assert_eq!(read::<2>(text).map(|record| record.record_version.number()), Ok(2), "{text}");
        }
    }

    #[test]
    fn a_record_of_a_newer_version_is_refused_and_both_numbers_are_named() {
        let refused = read::<1>(r#"{"name":"a","record_version":3}"#).unwrap_err();
        let sentence = "written by a newer version of Runnersmith (record version 3, this program knows 1)";
        assert!(refused.starts_with(sentence), "{refused}");
        assert!(read::<1>(r#"{"name":"a","record_version":70000}"#).unwrap_err().contains("record version 70000"));
    }

    #[test]
    fn what_is_no_number_is_no_version() {
        for text in [r#"{"name":"a","record_version":"1"}"#, r#"{"name":"a","record_version":-1}"#] {
            assert!(read::<1>(text).is_err(), "{text}");
        }
    }
}
