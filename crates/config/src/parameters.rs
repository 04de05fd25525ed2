//! The configuration as parameters: the control plane's own sections in one, each scale set in another, as JSON.
//!
//! So a scale set's stack registers its policy by writing one parameter below the control plane's path, and the control plane finds it.
//! The fields are the file's, word for word; Terraform writes JSON, and its `null` means "not given".

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::reader::{Reader, Sink};
use crate::{Config, ConfigError, ConfigProblem, VERSION, is_known_version};

impl Config {
    /// A configuration from the control plane's parameter `<path>/plane` and the sets' parameters below the same path, by the rest
    /// of their names (`sets/<name>`). Each text is parsed once; a problem names the parameter that has it.
    ///
    /// A set that is not valid, or has another set's name, is left out and returned with the reason: one team's mistake must not
    /// stop another team's runners. A control plane without sets is one whose first set is not there yet, or whose last one is
    /// gone: it still has to clean up.
    ///
    /// # Errors
    /// When the control plane's own part is not valid.
    pub fn from_parameters(
        path: &str,
        control_plane: &str,
        sets: &BTreeMap<String, String>,
    ) -> Result<(Self, Vec<(String, ConfigError)>), ConfigError> {
        let mut config = control_plane_of(&format!("{path}/plane"), control_plane)?;
        let mut left_out = Vec::new();
        for (name, text) in sets {
            if let Err(error) = add_set(&mut config, &format!("{path}/{name}"), text) {
                left_out.push((name.clone(), error));
            }
        }
        config.warnings = config.warnings();
        Ok((config, left_out))
    }
}

fn control_plane_of(parameter: &str, text: &str) -> Result<Config, ConfigError> {
    let sink = Sink::of_parameter(parameter);
    let mut fields = object(&sink, text)?;
    // Terraform need not write it: the module and the functions are of one release.
    fields.entry("version").or_insert(VERSION.into());
    // Sets lie in parameters of their own.
    fields.remove("scale_set");
    let root = Reader::of_parameter(&sink, &fields, "");
    let config = is_known_version(&root).then(|| {
        let config = Config::without_sets(&root);
        root.finish();
        config
    });
    let problems = sink.take();
    config.filter(|_| problems.is_empty()).ok_or(ConfigError::Invalid(problems))
}

fn add_set(config: &mut Config, parameter: &str, text: &str) -> Result<(), ConfigError> {
    let sink = Sink::of_parameter(parameter);
    let fields = object(&sink, text)?;
    let found = config.read_set(&mut Reader::of_parameter(&sink, &fields, "scale_set"));
    match (found, sink.take()) {
        (Some(found), problems) if problems.is_empty() => {
            config.add(found);
            Ok(())
        }
        (_, problems) => Err(ConfigError::Invalid(problems)),
    }
}

fn object(sink: &Sink<'_>, text: &str) -> Result<Map<String, Value>, ConfigError> {
    let wrong =
        |what: String| ConfigError::Invalid(vec![ConfigProblem { place: sink.place(0), field: String::new(), what }]);
    match serde_json::from_str(text).map(without_nulls) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(wrong("it is not a JSON object".into())),
        Err(error) => Err(wrong(format!("it is not JSON: {error}"))),
    }
}

/// Terraform's `null` means "not given".
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails panics")]

    use super::*;

    const PATH: &str = "/runnersmith/test/config";
    const CONTROL_PLANE: &str = r#"{ "github": { "app_id": "1", "private_key_parameter": "/p/key", "webhook_secret_parameter": "/p/hook" },
        "aws": { "table": "ledger", "hand_off_path": "/p/hand-off" } }"#;

    fn sets(texts: &[(&str, &str)]) -> BTreeMap<String, String> {
        texts.iter().map(|(name, text)| (format!("sets/{name}"), (*text).to_owned())).collect()
    }

    fn read(texts: &[(&str, &str)]) -> (Config, Vec<(String, ConfigError)>) {
        Config::from_parameters(PATH, CONTROL_PLANE, &sets(texts)).unwrap()
    }

    #[test]
    fn a_control_plane_may_have_no_sets_and_a_wrong_set_is_left_out_even_if_it_is_the_only_one() {
        let (config, left_out) = read(&[]);
        assert!(config.scale_sets.is_empty() && left_out.is_empty());
        assert_eq!(config.aws.unwrap().table.as_deref(), Some("ledger"));
        let (config, left_out) = read(&[("wrong", "{")]);
        assert!(config.scale_sets.is_empty());
        assert_eq!(left_out.len(), 1, "the control plane goes on, and says so");
    }

    #[test]
    fn the_control_planes_own_part_must_be_right() {
        assert!(Config::from_parameters(PATH, "{}", &BTreeMap::new()).is_err());
        assert!(Config::parse("version = 1").is_err(), "a file needs a set");
    }

    #[test]
    fn a_problem_names_the_parameter_that_has_it_and_no_line_of_a_text_that_nobody_has_seen() {
        let of_control_plane =
            |text: &str| Config::from_parameters(PATH, text, &BTreeMap::new()).unwrap_err().to_string();
        for (text, field) in [
            ("[]", "it is not a JSON object"),
            ("{", "it is not JSON"),
            (r#"{ "version": 2 }"#, "version: 2 is newer than this program knows (1)"),
            ("{}", "github.app_id: is missing"),
            (
                &CONTROL_PLANE.replace("app_id", "app_ib"),
                "github.app_ib: there is no such field; did you mean `app_id`?",
            ),
            (
                &CONTROL_PLANE.replace("\"1\"", "1"),
                "github.app_id: a text in quotes is needed, this is of type integer",
            ),
        ] {
            let error = of_control_plane(text);
            assert!(error.contains(&format!("parameter {PATH}/plane: {field}")), "{error}");
            assert!(!error.contains("TOML"), "{error}");
        }
        let (_, left_out) =
            read(&[("a", r#"{ "name": "a", "labels": ["a"], "runners_max": 2.5 }"#), ("b", r#"{ "labels": [] }"#)]);
        let errors: Vec<String> = left_out.iter().map(|(name, error)| format!("{name}: {error}")).collect();
        assert_eq!(
            errors,
            [
                format!(
                    "sets/a: parameter {PATH}/sets/a: scale_set.a.runners_max: a whole number is needed, this is of type float"
                ),
                format!(
                    "sets/b: parameter {PATH}/sets/b: scale_set.name: is missing: a short word, part of every runner's name"
                ),
            ]
        );
    }

    #[test]
    fn a_secret_lies_in_a_parameter_of_any_name_or_under_another_accounts_arn() {
        let of = |name: &str| {
            let text = CONTROL_PLANE.replace("/p/key", name);
            Config::from_parameters(PATH, &text, &BTreeMap::new()).map(|(config, _)| config.github.private_key)
        };
        for name in ["app-key", "/app/key", "arn:aws:ssm:eu-west-1:210987654321:parameter/app/key"] {
            assert!(matches!(of(name).unwrap(), crate::Source::Parameter(read) if read == name), "{name}");
        }
        for name in ["", "/", "a b", "https://example.com", "arn:aws:kms:eu-west-1:210987654321:key/1", "arn:aws:ssm:x"]
        {
            assert!(of(name).unwrap_err().to_string().contains("the name or ARN of a parameter is needed"), "{name}");
        }
    }

    #[test]
    fn a_set_that_does_not_fit_the_others_or_the_control_plane_is_left_out_alone() {
        let linux = r#"{ "name": "linux", "labels": ["linux"] }"#;
        let on_ec2 = r#"{ "name": "ec2", "labels": ["ec2"], "ec2": { "launch_template": "lt-1", "instance_types": ["m7i.large"],
            "subnets": [{ "zone": "eu-west-1a", "id": "subnet-a" }] } }"#;
        let (config, left_out) = read(&[("a", linux), ("b", linux), ("c", on_ec2)]);
        let names: Vec<&str> = config.scale_sets.iter().map(|set| set.name.as_str()).collect();
        assert_eq!((names, config.ec2.len()), (vec!["linux", "ec2"], 1));
        let [(name, error)] = left_out.as_slice() else { panic!("{left_out:?}") };
        assert_eq!(name, "sets/b");
        assert!(error.to_string().contains("scale_set.linux.name: another scale set has this name"), "{error}");
        let without_path = CONTROL_PLANE.replace(r#", "hand_off_path": "/p/hand-off""#, "");
        let (config, left_out) =
            Config::from_parameters(PATH, &without_path, &sets(&[("a", linux), ("c", on_ec2)])).unwrap();
        assert_eq!((config.scale_sets.len(), config.ec2.len(), left_out.len()), (1, 0, 1));
        assert!(left_out[0].1.to_string().contains("hand_off_path is needed"), "{}", left_out[0].1);
    }

    #[test]
    fn parameters_and_a_file_with_the_same_fields_mean_the_same() {
        let set = r#"{ "name": "linux", "labels": ["linux", "x64"], "runners_max": 20, "tell": false, "at": null,
            "idle_config": [{ "cron": "* * 9-17 * * 1-5", "timeZone": "Europe/Berlin", "idleCount": 2 }] }"#;
        let (config, left_out) = read(&[("linux", set)]);
        assert!(left_out.is_empty(), "{left_out:?}");
        let file = r#"
            version = 1
            aws = { table = "ledger", hand_off_path = "/p/hand-off" }
            [github]
            app_id = "1"
            private_key_parameter = "/p/key"
            webhook_secret_parameter = "/p/hook"
            [[scale_set]]
            name = "linux"
            labels = ["linux", "x64"]
            runners_max = 20
            tell = false
            idle_config = [{ cron = "* * 9-17 * * 1-5", timeZone = "Europe/Berlin", idleCount = 2 }]
        "#;
        assert_eq!(format!("{config:?}"), format!("{:?}", Config::parse(file).unwrap()));
    }
}
