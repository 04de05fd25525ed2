//! The configuration as parameters: the control plane's own sections in one, each scale set in another, as JSON.
//!
//! So a scale set's stack registers its policy by writing one parameter below the control plane's path, and the control plane finds it.
//! The fields are the file's, word for word; Terraform writes JSON, and its `null` means "not given".

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{Config, ConfigError, Problem, Sets};

impl Config {
    /// A configuration from the control plane's parameter and the sets' parameters, by the names of the latter.
    ///
    /// A set that is not valid is left out, and told in the answer: one team's mistake must not stop another team's runners.
    /// A control plane without sets is one whose first set is not there yet, or whose last one is gone: it still has to clean up.
    ///
    /// # Errors
    /// When the control plane's own part is not valid.
    pub fn from_parameters(
        control_plane: &str,
        sets: &BTreeMap<String, String>,
    ) -> Result<(Self, Vec<(String, ConfigError)>), ConfigError> {
        let control_plane = object("the control plane's parameter", control_plane)?;
        Self::parse_with(&text_of(&control_plane, &[])?, Sets::MayBeNone)?;
        let (mut good, mut left_out) = (Vec::new(), Vec::new());
        for (name, text) in sets {
            let alone = object(name, text).and_then(|set| text_of(&control_plane, &[&set]).map(|text| (set, text)));
            match alone.and_then(|(set, text)| Self::parse(&text).map(|_| set)) {
                Ok(set) => good.push(set),
                Err(error) => left_out.push((name.clone(), error)),
            }
        }
        let good: Vec<&Value> = good.iter().collect();
        Ok((Self::parse_with(&text_of(&control_plane, &good)?, Sets::MayBeNone)?, left_out))
    }
}

fn problem(what: String) -> ConfigError {
    ConfigError::Invalid(vec![Problem { line: 1, field: String::new(), what }])
}

fn object(name: &str, text: &str) -> Result<Value, ConfigError> {
    let value: Value = serde_json::from_str(text).map_err(|error| problem(format!("{name} is not JSON: {error}")))?;
    if value.is_object() { Ok(without_nulls(value)) } else { Err(problem(format!("{name} is not a JSON object"))) }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(fields.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        Value::Array(items) => {
            Value::Array(items.into_iter().filter(|item| !item.is_null()).map(without_nulls).collect())
        }
        other => other,
    }
}

fn text_of(control_plane: &Value, sets: &[&Value]) -> Result<String, ConfigError> {
    let mut whole = control_plane.clone();
    if let Some(fields) = whole.as_object_mut() {
        fields.entry("version").or_insert(crate::VERSION.into());
        fields.insert("scale_set".into(), Value::Array(sets.iter().map(|set| (*set).clone()).collect()));
    }
    toml::to_string(&whole).map_err(|error| problem(format!("it cannot be read as a configuration: {error}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails panics")]

    use super::*;

    const PLANE: &str = r#"{ "github": { "app_id": "1", "private_key_parameter": "/p/key", "webhook_secret_parameter": "/p/hook" },
        "aws": { "table": "ledger", "hand_off_path": "/p/hand-off" } }"#;

    #[test]
    fn a_plane_without_sets_is_one_and_a_wrong_set_is_left_out_even_if_it_is_the_only_one() {
        let (config, left_out) = Config::from_parameters(PLANE, &BTreeMap::new()).unwrap();
        assert!(config.scale_sets.is_empty() && left_out.is_empty());
        assert_eq!(config.aws.unwrap().table.as_deref(), Some("ledger"));
        let wrong = BTreeMap::from([("sets/wrong".to_owned(), "{".to_owned())]);
        let (config, left_out) = Config::from_parameters(PLANE, &wrong).unwrap();
        assert!(config.scale_sets.is_empty());
        assert_eq!(left_out.len(), 1, "the plane goes on, and says so");
    }

    #[test]
    fn the_control_planes_own_part_must_be_right() {
        assert!(Config::from_parameters("{}", &BTreeMap::new()).is_err());
        assert!(Config::parse("version = 1").is_err(), "a file needs a set");
    }
}
