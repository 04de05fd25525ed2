//! Templates: whole files with a few named places. They are files so that they can be read, and checked, as what they become.

/// Puts values into the places `@NAME@` of a template, in one pass: a value that looks like a place stays what it is. A place
/// without a value stays too, and a test finds it.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let (mut out, mut rest) = (String::with_capacity(template.len()), template);
    while let Some(at) = rest.find('@') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let value = rest.split_once('@').and_then(|(name, after)| {
            let (_, value) = values.iter().find(|(known, _)| *known == name)?;
            Some((value, after))
        });
        match value {
            Some((value, after)) => {
                out.push_str(value);
                rest = after;
            }
            None => out.push('@'),
        }
    }
    out.push_str(rest);
    out
}

/// A text as JSON writes it, which YAML, TOML and (without `${` and `%{`, which no checked value has) HCL read the same.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A list of texts, as JSON, YAML, TOML and HCL write it.
pub(crate) fn list<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = texts.into_iter().map(|text| quoted(text.as_ref())).collect();
    format!("[{}]", texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_looks_like_a_place_stays_what_it_is() {
        let values = [("A", "@B@"), ("B", "b")];
        assert_eq!(fill("x@y @A@ @B@@C@ a@", &values), "x@y @B@ b@C@ a@");
    }

    #[test]
    fn quotes_cannot_be_left() {
        assert_eq!(list(["a\"b", "c\n"]), r#"["a\"b", "c\n"]"#);
    }
}
