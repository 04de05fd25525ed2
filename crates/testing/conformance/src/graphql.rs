//! GitHub's GraphQL schema as a check of queries: what it does not have is refused here as GitHub refuses it. Answers are not checked: a
//! query names all that is in them.

use std::collections::{BTreeMap, BTreeSet};

use graphql_parser::query::{
    Definition, Field, FragmentDefinition, OperationDefinition, Query, Selection, SelectionSet, Type, TypeCondition,
    Value as Argument, VariableDefinition, parse_query,
};
use serde_json::Value;

use crate::doc::{LoadError, read_json};
use crate::material::Material;

type Fragments<'q> = BTreeMap<&'q str, &'q FragmentDefinition<'q, &'q str>>;

/// GitHub's published schema.
pub struct GraphQlSchema {
    types: BTreeMap<String, Value>,
}

/// A query while it is checked.
struct Check<'s, 'q> {
    schema: &'s GraphQlSchema,
    variables: BTreeMap<&'q str, &'q VariableDefinition<'q, &'q str>>,
    fragments: Fragments<'q>,
    used: BTreeSet<&'q str>,
    wrong: Vec<String>,
}

impl GraphQlSchema {
    /// Reads it.
    ///
    /// # Errors
    /// When the package is not there, or is not what this crate knows.
    pub fn load() -> Result<Self, LoadError> {
        let schema = read_json(Material::find()?.path("@octokit/graphql-schema", "schema.json"))?;
        let named = |found: &Value| Some((found["name"].as_str()?.to_owned(), found.clone()));
        let types: BTreeMap<String, Value> =
            schema["__schema"]["types"].as_array().into_iter().flatten().filter_map(named).collect();
        match types.contains_key("Query") {
            true => Ok(Self { types }),
            false => Err(LoadError::Shape { document: "graphql", problem: "has no type Query".to_owned() }),
        }
    }

    /// What is wrong with a query and its variables; nothing: GitHub takes it.
    #[must_use]
    pub fn check(&self, query: &str, variables: &Value) -> Vec<String> {
        let document = match parse_query::<&str>(query) {
            Ok(document) => document,
            Err(error) => return vec![error.to_string()],
        };
        let mut fragments = Fragments::new();
        let mut queries: Vec<&Query<'_, &str>> = Vec::new();
        let mut wrong = Vec::new();
        for definition in &document.definitions {
            match definition {
                Definition::Fragment(fragment) => _ = fragments.insert(fragment.name, fragment),
                Definition::Operation(OperationDefinition::Query(query)) => queries.push(query),
                Definition::Operation(_) => wrong.push("only a query that is called one is read".to_owned()),
            }
        }
        let [query] = queries.as_slice() else { return vec!["it is not one query".to_owned()] };
        let declared = query.variable_definitions.iter().map(|variable| (variable.name, variable)).collect();
        let mut check = Check { schema: self, variables: declared, fragments, used: BTreeSet::new(), wrong };
        check.selection("Query", &query.selection_set);
        for (name, declared) in &check.variables {
            if !check.used.contains(name) {
                check.wrong.push(format!("${name} is declared and not used"));
            }
            if matches!(declared.var_type, Type::NonNullType(_)) && variables[*name].is_null() {
                check.wrong.push(format!("${name} is needed and not given"));
            }
        }
        for name in variables.as_object().into_iter().flatten().map(|(name, _)| name) {
            if !check.variables.contains_key(name.as_str()) {
                check.wrong.push(format!("${name} is given and not declared"));
            }
        }
        check.wrong
    }

    fn kind(&self, name: &str) -> &str {
        self.types.get(name).and_then(|found| found["kind"].as_str()).unwrap_or_default()
    }

    /// The objects that a type may be.
    fn objects(&self, name: &str) -> BTreeSet<&str> {
        let Some(found) = self.types.get(name) else { return BTreeSet::new() };
        match found["possibleTypes"].as_array() {
            Some(possible) => possible.iter().filter_map(|one| one["name"].as_str()).collect(),
            None => found["name"].as_str().into_iter().collect(),
        }
    }
}

/// The name below lists and "not null".
fn named(of: &Value) -> &str {
    match of["name"].as_str() {
        Some(name) => name,
        None if of["ofType"].is_null() => "",
        None => named(&of["ofType"]),
    }
}

/// As the language writes it.
fn written(of: &Value) -> String {
    match of["kind"].as_str() {
        Some("NON_NULL") => format!("{}!", written(&of["ofType"])),
        Some("LIST") => format!("[{}]", written(&of["ofType"])),
        _ => named(of).to_owned(),
    }
}

impl<'q> Check<'_, 'q> {
    fn selection(&mut self, of: &str, set: &'q SelectionSet<'q, &'q str>) {
        for item in &set.items {
            match item {
                Selection::Field(field) => self.field(of, field),
                Selection::InlineFragment(fragment) => match &fragment.type_condition {
                    Some(TypeCondition::On(on)) => self.fragment(of, on, &fragment.selection_set),
                    None => self.selection(of, &fragment.selection_set),
                },
                Selection::FragmentSpread(spread) => match self.fragments.get(spread.fragment_name).copied() {
                    Some(FragmentDefinition { type_condition: TypeCondition::On(on), selection_set, .. }) => {
                        self.fragment(of, on, selection_set);
                    }
                    None => self.wrong.push(format!("there is no fragment {}", spread.fragment_name)),
                },
            }
        }
    }

    fn fragment(&mut self, of: &str, on: &str, set: &'q SelectionSet<'q, &'q str>) {
        if self.schema.objects(of).is_disjoint(&self.schema.objects(on)) {
            self.wrong.push(format!("no {of} is ever a {on}"));
        }
        self.selection(on, set);
    }

    fn field(&mut self, of: &str, field: &'q Field<'q, &'q str>) {
        if field.name == "__typename" {
            return;
        }
        let found = self.schema.types.get(of).and_then(|found| {
            found["fields"].as_array()?.iter().find(|known| known["name"].as_str() == Some(field.name)).cloned()
        });
        let Some(found) = found else {
            return self.wrong.push(format!("{of} has no field {}", field.name));
        };
        self.arguments(&format!("{of}.{}", field.name), &found, field);
        let of = named(&found["type"]).to_owned();
        let has_fields = matches!(self.schema.kind(&of), "OBJECT" | "INTERFACE" | "UNION");
        if has_fields == field.selection_set.items.is_empty() {
            self.wrong.push(format!(
                "{}: a {of} is {}",
                field.name,
                if has_fields { "asked for fields" } else { "a value" }
            ));
        }
        self.selection(&of, &field.selection_set);
    }

    fn arguments(&mut self, at: &str, found: &Value, field: &'q Field<'q, &'q str>) {
        let known: Vec<Value> = found["args"].as_array().cloned().unwrap_or_default();
        for (name, value) in &field.arguments {
            match known.iter().find(|known| known["name"].as_str() == Some(name)) {
                Some(known) => self.value(&format!("{at}({name})"), &known["type"], value),
                None => self.wrong.push(format!("{at} has no argument {name}")),
            }
        }
        for needed in
            known.iter().filter(|known| known["type"]["kind"] == "NON_NULL" && known["defaultValue"].is_null())
        {
            if !field.arguments.iter().any(|(name, _)| needed["name"].as_str() == Some(name)) {
                self.wrong.push(format!("{at} needs {}", needed["name"]));
            }
        }
    }

    fn value(&mut self, at: &str, of: &Value, value: &'q Argument<'q, &'q str>) {
        let fits = match (value, self.schema.kind(named(of)), named(of)) {
            (Argument::Variable(name), ..) => {
                self.used.insert(name);
                let declared = self.variables.get(name).map(|declared| declared.var_type.to_string());
                // One that is never null fits where null may be.
                declared.is_some_and(|declared| declared == written(of) || declared == format!("{}!", written(of)))
            }
            (Argument::List(items), ..) => {
                let list = if of["kind"] == "NON_NULL" { &of["ofType"] } else { of };
                for item in items {
                    self.value(at, &list["ofType"], item);
                }
                list["kind"] == "LIST"
            }
            (Argument::Enum(word), "ENUM", name) => {
                let words = self.schema.types.get(name).and_then(|found| found["enumValues"].as_array());
                words.is_some_and(|words| words.iter().any(|known| known["name"].as_str() == Some(word)))
            }
            (Argument::Int(_), _, "Int")
            | (Argument::String(_), _, "String" | "ID")
            | (Argument::Boolean(_), _, "Boolean") => true,
            _ => false,
        };
        if !fits {
            self.wrong.push(format!("{at} is {} and given {value}", written(of)));
        }
    }
}
