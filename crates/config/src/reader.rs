//! Reads one table field by field and remembers which fields were asked for; what is left over was misspelt.
//!
//! A derived deserialiser stops at the first mistake and cannot say what was probably meant. An operator who corrects a
//! file wants all mistakes, each with its line.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value};
use toml::de::DeTable;

use crate::node::{Fields, Node};
use crate::problem::{ConfigProblem, Place};

/// What is read: the text of a file, or a parameter by its name.
#[derive(Clone, Copy)]
enum Origin<'a> {
    File { text: &'a str },
    Parameter { name: &'a str },
}

/// The origin and the problems found in it so far, shared by all its readers.
pub(crate) struct Sink<'a> {
    origin: Origin<'a>,
    problems: RefCell<Vec<ConfigProblem>>,
}

impl<'a> Sink<'a> {
    /// For the text of a file; problems have its lines.
    pub fn of_file(text: &'a str) -> Rc<Self> {
        Rc::new(Self { origin: Origin::File { text }, problems: RefCell::default() })
    }
    /// For the value of a parameter; problems have its name.
    pub fn of_parameter(name: &'a str) -> Rc<Self> {
        Rc::new(Self { origin: Origin::Parameter { name }, problems: RefCell::default() })
    }
    /// The place of what begins at this byte of a file.
    pub fn place(&self, offset: usize) -> Place {
        match self.origin {
            Origin::File { text } => {
                Place::Line(text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1)
            }
            Origin::Parameter { name } => Place::Parameter(name.to_owned()),
        }
    }
    pub fn add(&self, place: Place, field: &str, what: impl Into<String>) {
        self.problems.borrow_mut().push(ConfigProblem { place, field: field.to_owned(), what: what.into() });
    }
    /// All problems, in the order of the file.
    pub fn take(&self) -> Vec<ConfigProblem> {
        let mut problems = self.problems.take();
        problems.sort_by(|one, other| one.place.cmp(&other.place));
        problems
    }
}

/// A unit of time that a field's name ends with.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Seconds,
    Minutes,
    Hours,
    Days,
}

/// One table.
pub(crate) struct Reader<'a> {
    sink: Rc<Sink<'a>>,
    fields: Option<Fields<'a>>,
    path: String,
    place: Place,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Reader<'a> {
    /// The whole of a file.
    pub fn of_file(sink: &Rc<Sink<'a>>, table: &'a DeTable<'a>) -> Self {
        Self::at(sink, Some(Fields::Toml(table)), String::new(), sink.place(0))
    }

    /// The whole of a parameter; `path` is what its fields' names begin with.
    pub fn of_parameter(sink: &Rc<Sink<'a>>, object: &'a Map<String, Value>, path: &str) -> Self {
        Self::at(sink, Some(Fields::Json(object)), path.to_owned(), sink.place(0))
    }

    fn at(sink: &Rc<Sink<'a>>, fields: Option<Fields<'a>>, path: String, place: Place) -> Self {
        Self { sink: sink.clone(), fields, path, place, asked: RefCell::default() }
    }

    /// Whether the table is there at all.
    pub const fn is_there(&self) -> bool {
        self.fields.is_some()
    }

    /// Whether a field is there.
    pub fn has(&self, key: &str) -> bool {
        self.fields.is_some_and(|fields| fields.get(key).is_some())
    }

    /// The table's path begins with this from now on.
    pub fn rename(&mut self, path: String) {
        self.path = path;
    }

    fn field(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn get(&self, key: &'static str) -> Option<Node<'a>> {
        self.asked.borrow_mut().push(key);
        self.fields?.get(key)
    }

    fn place_of(&self, value: Option<Node<'_>>) -> Place {
        value.and_then(Node::offset).map_or_else(|| self.place.clone(), |offset| self.sink.place(offset))
    }

    /// Says that a field is wrong; the place is the field's, or the table's if it is not there.
    pub fn refuse(&self, key: &str, what: impl Into<String>) {
        let value = self.fields.and_then(|fields| fields.get(key));
        self.sink.add(self.place_of(value), &self.field(key), what);
    }

    /// Says that this table does not fit a field elsewhere, whose whole path is given.
    pub fn refuse_elsewhere(&self, field: &str, what: impl Into<String>) {
        self.sink.add(self.place.clone(), field, what);
    }

    fn refuse_type(&self, key: &'static str, wanted: &str, given: Node<'_>) {
        self.refuse(key, format!("{wanted} is needed, this is of type {}", given.type_name()));
    }

    pub fn string(&self, key: &'static str) -> Option<&'a str> {
        let value = self.get(key)?;
        if value.text().is_none() {
            self.refuse_type(key, "a text in quotes", value);
        }
        value.text()
    }

    /// A text that has to be there.
    pub fn required(&self, key: &'static str, hint: &str) -> Option<&'a str> {
        if !self.has(key) {
            self.asked.borrow_mut().push(key);
            self.refuse(key, format!("is missing: {hint}"));
            return None;
        }
        self.string(key)
    }

    pub fn boolean(&self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.get(key) else { return default };
        value.boolean().unwrap_or_else(|| {
            self.refuse_type(key, "true or false", value);
            default
        })
    }

    pub fn integer(&self, key: &'static str, allowed: RangeInclusive<i64>) -> Option<i64> {
        let value = self.get(key)?;
        let Some(number) = value.integer() else {
            self.refuse_type(key, "a whole number", value);
            return None;
        };
        let number = i64::try_from(number).ok().filter(|number| allowed.contains(number));
        if number.is_none() {
            self.refuse(key, format!("{} to {} is allowed", allowed.start(), allowed.end()));
        }
        number
    }

    pub fn number(&self, key: &'static str, allowed: RangeInclusive<u32>, default: u32) -> u32 {
        let allowed = i64::from(*allowed.start())..=i64::from(*allowed.end());
        self.integer(key, allowed).and_then(|number| u32::try_from(number).ok()).unwrap_or(default)
    }

    /// A time in the unit that the field's name ends with.
    pub fn time(&self, key: &'static str, unit: Unit, allowed: RangeInclusive<u32>) -> Option<Duration> {
        let allowed = i64::from(*allowed.start())..=i64::from(*allowed.end());
        let count = u64::try_from(self.integer(key, allowed)?).ok()?;
        let seconds = match unit {
            Unit::Seconds => 1,
            Unit::Minutes => 60,
            Unit::Hours => 3_600,
            Unit::Days => 86_400,
        };
        Some(Duration::from_secs(count * seconds))
    }

    pub fn strings(&self, key: &'static str) -> Vec<&'a str> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let texts = value.items().map(|items| items.into_iter().map(Node::text).collect::<Option<Vec<_>>>());
        texts.flatten().unwrap_or_else(|| {
            self.refuse_type(key, "a list of texts, such as [\"linux\", \"x64\"],", value);
            Vec::new()
        })
    }

    /// A table in this one; empty when it is not there.
    pub fn table(&self, key: &'static str) -> Self {
        let value = self.get(key);
        let fields = value.and_then(Node::fields);
        if let (Some(value), None) = (value, fields) {
            self.refuse_type(key, &format!("a table [{}]", self.field(key)), value);
        }
        Self::at(&self.sink, fields, self.field(key), self.place_of(value))
    }

    /// Tables in a list in this one.
    pub fn tables(&self, key: &'static str) -> Vec<Self> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(items) = value.items() else {
            self.refuse_type(key, &format!("tables [[{}]]", self.field(key)), value);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items {
            match item.fields() {
                Some(fields) => {
                    tables.push(Self::at(&self.sink, Some(fields), self.field(key), self.place_of(Some(item))));
                }
                None => self.refuse_type(key, &format!("tables [[{}]]", self.field(key)), item),
            }
        }
        tables
    }

    /// Refuses every field that nobody asked for.
    pub fn finish(&self) {
        let asked = self.asked.borrow();
        for (name, offset) in self.fields.map(Fields::names).unwrap_or_default() {
            if asked.contains(&name) {
                continue;
            }
            let near = asked.iter().map(|known| (strsim::damerau_levenshtein(name, known), *known)).min();
            let what = match near {
                Some((distance, known)) if distance <= known.len().max(name.len()) / 2 => {
                    format!("there is no such field; did you mean `{known}`?")
                }
                _ => format!("there is no such field; known are {}", asked.join(", ")),
            };
            let shown: String = name.chars().take(60).collect();
            let place = offset.map_or_else(|| self.place.clone(), |offset| self.sink.place(offset));
            self.sink.add(place, &self.field(&shown.escape_debug().to_string()), what);
        }
    }
}
