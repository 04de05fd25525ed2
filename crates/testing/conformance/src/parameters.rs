//! Path and query parameters: texts that the documents give a type.
//!
//! Apart from bodies because a query is not JSON: a value is read as its schema's type first, and only then checked.

use serde_json::Value;

use crate::openapi::OpenApi;
use crate::operation::Operation;
use crate::result::Violation;
use crate::result::violation;
use crate::route::pairs;
use crate::schema::Form;

impl OpenApi {
    /// Checks the path's and the query's parameters; unknown query parameters are refused.
    pub(crate) fn validate_parameters(&self, operation: &Operation, query: &str) -> Vec<Violation> {
        let declared: Vec<&Value> = self.declared(operation)["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|parameter| self.resolve(parameter))
            .collect();
        let given = pairs(query);
        let mut violations = Vec::new();
        let mut refuse = |part: &str, name: &str, message: &str| {
            let pointer = format!("/{name}");
            violations.push(Violation {
                pointer,
                message: message.to_owned(),
                ..violation(operation, part.to_owned())
            });
        };
        for parameter in &declared {
            let name = parameter["name"].as_str().unwrap_or_default();
            let (part, value) = match parameter["in"].as_str() {
                Some("path") => ("path", operation.parameters.get(name)),
                Some("query") => ("query", given.iter().find(|(given, _)| given == name).map(|(_, value)| value)),
                _ => continue,
            };
            match value {
                None if part == "query" && parameter["required"] == Value::Bool(true) => {
                    refuse(part, name, "this parameter is needed");
                }
                None => {}
                Some(value) => {
                    if let Some(message) = self.parameter_problem(&parameter["schema"], name, value) {
                        refuse(part, name, &message);
                    }
                }
            }
        }
        for (name, _) in &given {
            if !declared.iter().any(|p| p["in"] == "query" && p["name"] == name.as_str()) {
                refuse("query", name, "this operation has no such parameter");
            }
        }
        violations
    }

    fn parameter_problem(&self, schema: &Value, name: &str, value: &str) -> Option<String> {
        let resolved = self.resolve(schema);
        let typed = match resolved["type"].as_str() {
            Some("integer") => match value.parse::<i64>() {
                Ok(number) => Value::from(number),
                Err(_) => return Some("this parameter is an integer".to_owned()),
            },
            Some("boolean") => match value.parse() {
                Ok(truth) => Value::Bool(truth),
                Err(_) => return Some("this parameter is true or false".to_owned()),
            },
            Some("string") => Value::from(value),
            // Lists and alternatives are written in several ways; the documents do not say which.
            _ => return None,
        };
        // The schemas say integer; "max 100" is prose, and a greater page is cut silently, so that a list looks complete.
        if name == "per_page" && typed.as_i64().is_some_and(|size| !(1..=100).contains(&size)) {
            return Some("a page has 1 to 100 entries".to_owned());
        }
        let validator = self.build(schema, Form::Open).ok()?;
        validator.validate(&typed).err().map(|error| error.masked().to_string())
    }
}
