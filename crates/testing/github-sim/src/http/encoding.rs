//! Percent-encoding of paths, queries and forms.

use percent_encoding::percent_decode_str;

use crate::http::answer::Query;

/// A path or a part of one, decoded.
pub(crate) fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The pairs of a query or a form, decoded.
pub(crate) fn pairs(text: &str) -> Query {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))).collect()
}
