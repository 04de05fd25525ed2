//! OpenAPI 3.0 schemas as JSON Schema 2020-12.
//!
//! The validator knows no OpenAPI: it ignores `nullable`, so that every unfinished job would be refused. The
//! conversion walks schema *positions*, never key names: properties are called `type`, `items`, `required`, even `$ref`.
//!
//! Each component is converted three times. *Open* is what the document says. *Closed* refuses properties that are
//! not declared: without it an answer that a simulator invented would pass. *Part* is a closed component's form
//! inside a composition (`allOf` and the like): its own object stays open, because its siblings declare the rest and the
//! composition as a whole is closed with `unevaluatedProperties`; everything below it is closed.

use serde_json::{Map, Value, json};

/// How strictly objects are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    Open,
    Closed,
    Part,
}

/// The address under which converted components are registered. Never fetched: `.invalid` cannot be resolved.
pub(crate) const BASE: &str = "https://conformance.invalid/schemas";

/// References nest less deeply than this in all documents; more is a cycle.
const REFERENCE_DEPTH_MAX: usize = 32;

const COMPOSITIONS: [&str; 3] = ["allOf", "anyOf", "oneOf"];

/// Keywords with the same meaning in both languages. Everything else is documentation or handled by position.
const KEPT: [&str; 15] = [
    "type",
    "enum",
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "required",
];

impl Form {
    pub(crate) const ALL: [Self; 3] = [Self::Open, Self::Closed, Self::Part];

    const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Part => "part",
        }
    }
    const fn of_child(self) -> Self {
        match self {
            Self::Open => Self::Open,
            Self::Closed | Self::Part => Self::Closed,
        }
    }
    const fn of_part(self) -> Self {
        match self {
            Self::Open => Self::Open,
            Self::Closed | Self::Part => Self::Part,
        }
    }
}

/// Converts schemas of one document.
pub(crate) struct Converter<'d> {
    components: &'d Map<String, Value>,
}

impl<'d> Converter<'d> {
    pub(crate) const fn new(components: &'d Map<String, Value>) -> Self {
        Self { components }
    }

    /// All components in all forms, as one document to be registered under [`BASE`].
    pub(crate) fn definitions(&self) -> Value {
        let mut definitions = Map::new();
        for form in Form::ALL {
            for (name, schema) in self.components {
                definitions.insert(format!("{}.{name}", form.word()), self.schema(schema, form));
            }
        }
        json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": BASE, "$defs": definitions})
    }

    /// One schema in one form.
    pub(crate) fn schema(&self, schema: &Value, form: Form) -> Value {
        let Some(given) = schema.as_object() else { return schema.clone() };
        if let Some(name) = component_of(given) {
            // In OpenAPI 3.0 a reference has no siblings that mean anything.
            return json!({"$ref": format!("{BASE}#/$defs/{}.{name}", form.word())});
        }
        let mut out = Map::new();
        for keyword in KEPT {
            if let Some(value) = given.get(keyword) {
                out.insert(keyword.to_owned(), value.clone());
            }
        }
        self.children(given, form, &mut out);
        self.compositions(given, form, &mut out);
        if given.get("nullable") == Some(&Value::Bool(true)) { nullable(out) } else { Value::Object(out) }
    }

    fn children(&self, given: &Map<String, Value>, form: Form, out: &mut Map<String, Value>) {
        if let Some(properties) = given.get("properties").and_then(Value::as_object) {
            let converted: Map<String, Value> =
                properties.iter().map(|(name, schema)| (name.clone(), self.schema(schema, form.of_child()))).collect();
            out.insert("properties".to_owned(), Value::Object(converted));
        }
        if let Some(items) = given.get("items") {
            out.insert("items".to_owned(), self.schema(items, form.of_child()));
        }
        match given.get("additionalProperties") {
            // Inside a composition `true` only says "my siblings declare the rest"; kept, it would open the whole.
            Some(Value::Bool(true)) if form == Form::Part => {}
            Some(additional) => {
                out.insert("additionalProperties".to_owned(), self.schema(additional, form.of_child()));
            }
            None if form == Form::Closed && declares(given) && !composed(given) => {
                out.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            None => {}
        }
        if let Some(not) = given.get("not") {
            out.insert("not".to_owned(), self.schema(not, Form::Open));
        }
    }

    fn compositions(&self, given: &Map<String, Value>, form: Form, out: &mut Map<String, Value>) {
        if !composed(given) {
            return;
        }
        // Alternatives that stand alone are closed one by one, so that a free-form one (an object without declared
        // properties) stays free. Merged ones (`allOf`, or beside own properties) are closed together.
        let merged = given.contains_key("allOf") || declares(given);
        let branch_form = if merged { form.of_part() } else { form };
        for keyword in COMPOSITIONS {
            if let Some(branches) = given.get(keyword).and_then(Value::as_array) {
                let converted = branches.iter().map(|branch| self.schema(branch, branch_form)).collect();
                out.insert(keyword.to_owned(), Value::Array(converted));
            }
        }
        let declared = declares(given) || self.branches_declare(given, 0);
        if form == Form::Closed && merged && declared && !given.contains_key("additionalProperties") {
            out.insert("unevaluatedProperties".to_owned(), Value::Bool(false));
        }
    }

    fn branches_declare(&self, given: &Map<String, Value>, depth: usize) -> bool {
        if depth > REFERENCE_DEPTH_MAX {
            return false;
        }
        let branches =
            COMPOSITIONS.iter().filter_map(|keyword| given.get(*keyword).and_then(Value::as_array)).flatten();
        branches.filter_map(Value::as_object).any(|branch| {
            let resolved = component_of(branch).and_then(|name| self.components.get(name)).and_then(Value::as_object);
            let branch = resolved.unwrap_or(branch);
            declares(branch) || self.branches_declare(branch, depth + 1)
        })
    }
}

fn component_of(schema: &Map<String, Value>) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix("#/components/schemas/")
}

fn declares(schema: &Map<String, Value>) -> bool {
    schema.get("properties").and_then(Value::as_object).is_some_and(|p| !p.is_empty())
}

fn composed(schema: &Map<String, Value>) -> bool {
    COMPOSITIONS.iter().any(|keyword| schema.contains_key(*keyword))
}

fn nullable(mut schema: Map<String, Value>) -> Value {
    let kind = schema.get("type").and_then(Value::as_str).map(str::to_owned);
    match kind {
        Some(kind) if !composed(&schema) => {
            schema.insert("type".to_owned(), json!([kind, "null"]));
            // 71 enums are nullable without listing null.
            if let Some(Value::Array(values)) = schema.get_mut("enum")
                && !values.contains(&Value::Null)
            {
                values.push(Value::Null);
            }
            Value::Object(schema)
        }
        _ => json!({"anyOf": [schema, {"type": "null"}]}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(schema: &Value, form: Form) -> Value {
        Converter::new(&Map::new()).schema(schema, form)
    }

    #[test]
    fn a_nullable_enum_accepts_null() {
        let schema = json!({"type": "string", "nullable": true, "enum": ["success"], "example": "success"});
        assert_eq!(convert(&schema, Form::Open), json!({"type": ["string", "null"], "enum": ["success", null]}));
    }

    #[test]
    fn a_nullable_composition_is_an_alternative_to_null() {
        let schema = json!({"nullable": true, "anyOf": [{"$ref": "#/components/schemas/a"}]});
        let expected = json!({"anyOf": [{"anyOf": [{"$ref": format!("{BASE}#/$defs/open.a")}]}, {"type": "null"}]});
        assert_eq!(convert(&schema, Form::Open), expected);
    }

    #[test]
    fn properties_named_like_keywords_are_properties() {
        let schema = json!({"type": "object", "properties": {
            "example": {"type": "string"}, "nullable": {"type": "boolean"}, "$ref": {"type": "string"}, "items": {"type": "integer"},
        }});
        let converted = convert(&schema, Form::Open);
        assert_eq!(converted["properties"], schema["properties"]);
    }

    #[test]
    fn closing_reaches_items_and_leaves_free_objects_free() {
        let schema = json!({"type": "array", "items": {"type": "object", "properties": {"free": {"type": "object"}}}});
        let converted = convert(&schema, Form::Closed);
        assert_eq!(converted["items"]["additionalProperties"], json!(false));
        assert_eq!(converted["items"]["properties"]["free"], json!({"type": "object"}));
    }

    #[test]
    fn merged_branches_are_closed_together_and_alternatives_one_by_one() {
        let object = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        let merged = convert(&json!({"allOf": [object]}), Form::Closed);
        assert_eq!(merged["unevaluatedProperties"], json!(false));
        assert_eq!(merged["allOf"][0].get("additionalProperties"), None);
        let alternatives = convert(&json!({"oneOf": [object, {"type": "object"}]}), Form::Closed);
        assert_eq!(alternatives.get("unevaluatedProperties"), None);
        assert_eq!(alternatives["oneOf"][0]["additionalProperties"], json!(false));
        assert_eq!(alternatives["oneOf"][1], json!({"type": "object"}));
    }
}
