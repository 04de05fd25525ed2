//! One OpenAPI document, ready to check by.
//!
//! The plain documents are read, not the dereferenced ones: five times smaller, and a component is converted once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::{Draft, Registry, Validator};
use serde_json::{Map, Value};

use crate::doc::{Doc, LoadError, read_json};
use crate::material::Material;
use crate::operation::Operation;
use crate::overlay::OVERLAYS;
use crate::result::{CheckResult, Violation, argument_for, undocumented_body_problem, violation};
use crate::route::{Template, without_prefix};
use crate::schema::{BASE, Converter, Form};

struct Entry {
    method: String,
    template: String,
    split: Template,
    id: String,
    statuses: Vec<u16>,
}

/// A document that checks requests, answers and deliveries.
pub struct OpenApi {
    doc: Doc,
    document: Value,
    entries: Vec<Entry>,
    registry: Registry<'static>,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl std::fmt::Debug for OpenApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenApi")
            .field("doc", &self.doc)
            .field("operations", &self.entries.len())
            .finish_non_exhaustive()
    }
}

impl OpenApi {
    /// Reads a document, fixes it and registers its components.
    /// # Errors
    /// When the package is not there, a file is unreadable, or the document has not the known shape.
    pub fn load(doc: Doc) -> Result<Self, LoadError> {
        let path = Material::find()?.path("@octokit/openapi", &format!("generated/{}.json", doc.name()));
        let mut document = read_json(path)?;
        let shape = |problem: String| LoadError::Shape { document: doc.name(), problem };
        for overlay in &OVERLAYS {
            if !overlay.apply(&mut document) {
                return Err(shape(format!("the overlay for {} found nothing to fix", overlay.name)));
            }
        }
        let entries = entries(&document);
        if entries.is_empty() {
            return Err(shape("no operations".to_owned()));
        }
        let definitions = Converter::new(components(&document)).definitions();
        let registry = Registry::new()
            .draft(Draft::Draft202012)
            .add(BASE, definitions)
            .and_then(jsonschema::RegistryBuilder::prepare)
            .map_err(|error| shape(error.to_string()))?;
        Ok(Self { doc, document, entries, registry, validators: Mutex::default() })
    }

    /// Which document this is.
    #[must_use]
    pub const fn doc(&self) -> Doc {
        self.doc
    }

    /// The document itself, fixed.
    #[must_use]
    pub const fn document(&self) -> &Value {
        &self.document
    }

    /// How many operations the document has.
    #[must_use]
    pub fn operations_count(&self) -> usize {
        self.entries.len()
    }

    /// The operation with an id, without parameters.
    #[must_use]
    pub fn operation_by_id(&self, id: &str) -> Option<Operation> {
        let entry = self.entries.iter().find(|entry| entry.id == id)?;
        Some(entry.operation(BTreeMap::new()))
    }

    /// The operation of a concrete path; a server's prefix `/api/v3` and a query are ignored. Of several templates
    /// that match, the one whose literal segments come first.
    #[must_use]
    pub fn operation(&self, method: &str, concrete_path: &str) -> Option<Operation> {
        let (path, _) = without_prefix(concrete_path);
        let of_method = self.entries.iter().filter(|entry| entry.method.eq_ignore_ascii_case(method));
        let matching = of_method.filter_map(|entry| Some((entry.split.matches(path)?, entry)));
        let ((_, parameters), entry) = matching.max_by(|((a, _), _), ((b, _), _)| a.cmp(b))?;
        Some(entry.operation(parameters))
    }

    /// Checks a request: path and query parameters against their schemas, unknown query parameters and unknown body
    /// properties refused, a page of at most 100.
    #[must_use]
    pub fn validate_request(&self, operation: &Operation, query: &str, body: Option<&Value>) -> Vec<Violation> {
        let mut violations = self.validate_parameters(operation, query);
        let refuse =
            |message: &str| Violation { message: message.to_owned(), ..violation(operation, "request".to_owned()) };
        let declared = self.declared(operation).get("requestBody").cloned().unwrap_or(Value::Null);
        let body = body.filter(|body| !body.is_null());
        match (json_content(&declared), body) {
            (None, None) => {}
            (None, Some(_)) => violations.push(refuse("this operation takes no JSON body")),
            (Some(_), None) if declared["required"] == Value::Bool(true) => {
                violations.push(refuse("this operation needs a body"));
            }
            (Some(_), None) => {}
            (Some(schema), Some(body)) => {
                let key = format!("{} {} request", operation.method, operation.template);
                violations.extend(self.against_schema(operation, "request", &key, schema, Form::Closed, body));
            }
        }
        violations
    }

    /// Checks an answer. `closed`: objects with declared properties refuse others, and formats (dates, addresses) are checked;
    /// meant for a simulator's answers. Open, the document checks as it is written.
    #[must_use]
    pub fn validate_response(
        &self,
        operation: &Operation,
        status: u16,
        body: Option<&Value>,
        closed: bool,
    ) -> CheckResult {
        let part = format!("answer {status}");
        let refuse = |message: &str| {
            CheckResult::Refused(vec![Violation { message: message.to_owned(), ..violation(operation, part.clone()) }])
        };
        let body = body.filter(|body| !body.is_null());
        let Some(declared) = self.declared(operation).pointer(&format!("/responses/{status}")) else {
            return match (argument_for(operation, status), undocumented_body_problem(status, body)) {
                (Some(_), Some(problem)) => refuse(problem),
                (Some(argument), None) => CheckResult::NotCovered(argument),
                (None, _) => refuse(&format!("the documented statuses are {:?}", operation.statuses)),
            };
        };
        let declared = self.resolve(declared);
        match (json_content(declared), body) {
            (None, Some(_)) if declared.get("content").is_none() && matches!(status, 204 | 304) => {
                refuse("this status has no body")
            }
            // A redirect or an error without a schema, or content that is not JSON: nothing to check by.
            (None, _) => CheckResult::Accepted,
            (Some(_), None) => refuse("this status has a body, none was given"),
            (Some(schema), Some(body)) => {
                let form = if closed { Form::Closed } else { Form::Open };
                let key = format!("{} {} {status} {closed}", operation.method, operation.template);
                let violations = self.against_schema(operation, &part, &key, schema, form, body);
                if violations.is_empty() { CheckResult::Accepted } else { CheckResult::Refused(violations) }
            }
        }
    }

    /// Checks a webhook delivery by `x-webhooks`. The event is the header's (`workflow_job`); the action is the payload's.
    #[must_use]
    pub fn validate_webhook(&self, event: &str, payload: &Value, closed: bool) -> Vec<Violation> {
        let action = payload.get("action").and_then(Value::as_str);
        let key = action.map_or_else(|| event.to_owned(), |action| format!("{event}-{action}")).replace('_', "-");
        let operation = Operation {
            id: format!("x-webhooks/{key}"),
            method: "POST".to_owned(),
            template: key.clone(),
            statuses: Vec::new(),
            parameters: BTreeMap::new(),
        };
        let declared = self.document["x-webhooks"].get(&key).map(|hook| &hook["post"]["requestBody"]);
        let Some(schema) = declared.and_then(json_content) else {
            let message = "the document has no such event and action".to_owned();
            return vec![Violation { message, ..violation(&operation, "delivery".to_owned()) }];
        };
        let form = if closed { Form::Closed } else { Form::Open };
        self.against_schema(&operation, "delivery", &format!("x-webhooks {key} {closed}"), schema, form, payload)
    }

    /// Builds the validator of every response schema; returns how many there are. Nothing is kept.
    /// # Errors
    /// The first schema that cannot be built.
    pub fn build_all(&self, closed: bool) -> Result<usize, LoadError> {
        let form = if closed { Form::Closed } else { Form::Open };
        let mut count = 0;
        for entry in &self.entries {
            let operation = entry.operation(BTreeMap::new());
            let responses = self.declared(&operation)["responses"].as_object();
            for response in responses.into_iter().flat_map(Map::values) {
                let content = self.resolve(response).get("content").and_then(Value::as_object);
                for schema in content.into_iter().flat_map(Map::values).filter_map(|media| media.get("schema")) {
                    self.build(schema, form).map_err(|error| LoadError::Shape {
                        document: self.doc.name(),
                        problem: format!("{}: {error}", operation.id),
                    })?;
                    count += 1;
                }
            }
        }
        Ok(count)
    }

    fn against_schema(
        &self,
        operation: &Operation,
        part: &str,
        key: &str,
        schema: &Value,
        form: Form,
        value: &Value,
    ) -> Vec<Violation> {
        let cached = self.validators.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        let validator = match cached.map_or_else(|| self.build(schema, form).map(Arc::new), Ok) {
            Ok(validator) => validator,
            Err(message) => return vec![Violation { message, ..violation(operation, part.to_owned()) }],
        };
        self.validators.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), Arc::clone(&validator));
        let errors = validator.iter_errors(value);
        errors
            .map(|error| Violation {
                pointer: error.instance_path().to_string(),
                // Masked: the value may be a token.
                message: error.masked().to_string(),
                ..violation(operation, part.to_owned())
            })
            .collect()
    }

    pub(crate) fn build(&self, schema: &Value, form: Form) -> Result<Validator, String> {
        let converted = Converter::new(components(&self.document)).schema(schema, form);
        jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_registry(&self.registry)
            .should_validate_formats(form == Form::Closed)
            .build(&converted)
            .map_err(|error| error.to_string())
    }

    pub(crate) fn declared(&self, operation: &Operation) -> &Value {
        &self.document["paths"][&operation.template][operation.method.to_ascii_lowercase()]
    }

    /// Follows one reference, if there is one; references do not chain.
    pub(crate) fn resolve<'v>(&'v self, value: &'v Value) -> &'v Value {
        let target = value.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
        target.and_then(|pointer| self.document.pointer(pointer)).unwrap_or(value)
    }
}

impl Entry {
    fn operation(&self, parameters: BTreeMap<String, String>) -> Operation {
        Operation {
            id: self.id.clone(),
            method: self.method.clone(),
            template: self.template.clone(),
            statuses: self.statuses.clone(),
            parameters,
        }
    }
}

fn entries(document: &Value) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (template, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let Some(id) = operation["operationId"].as_str() else { continue };
            let responses = operation["responses"].as_object();
            let mut statuses: Vec<u16> =
                responses.into_iter().flat_map(Map::keys).filter_map(|status| status.parse().ok()).collect();
            statuses.sort_unstable();
            entries.push(Entry {
                method: method.to_ascii_uppercase(),
                template: template.clone(),
                split: Template::new(template),
                id: id.to_owned(),
                statuses,
            });
        }
    }
    entries
}

fn components(document: &Value) -> &Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    document["components"]["schemas"].as_object().unwrap_or(&NONE)
}

/// The schema for JSON among the media types of a body; several vendor types may stand beside plain JSON.
fn json_content(body: &Value) -> Option<&Value> {
    body.get("content")?.get("application/json")?.get("schema")
}
