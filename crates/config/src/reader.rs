//! Reads one table field by field and remembers which fields were asked for; what is left over was misspelt.
//!
//! A derived deserialiser stops at the first mistake and cannot say what was probably meant. An operator who mends a file
//! wants all mistakes, each with its line.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::Problem;

/// The text and the problems found in it so far, shared by all readers of one file.
pub(crate) struct Sink<'a> {
    text: &'a str,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Sink<'a> {
    pub fn new(text: &'a str) -> Rc<Self> {
        Rc::new(Self { text, problems: RefCell::default() })
    }
    pub fn line(&self, offset: usize) -> usize {
        self.text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
    }
    pub fn add(&self, line: usize, field: &str, what: impl Into<String>) {
        self.problems.borrow_mut().push(Problem { line, field: field.to_owned(), what: what.into() });
    }
    /// All problems, in the order of the file.
    pub fn take(&self) -> Vec<Problem> {
        let mut problems = self.problems.take();
        problems.sort_by_key(|problem| problem.line);
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
    table: Option<&'a DeTable<'a>>,
    path: String,
    line: usize,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Reader<'a> {
    pub fn new(sink: &Rc<Sink<'a>>, table: &'a Spanned<DeTable<'a>>) -> Self {
        Self::at(sink, Some(table.get_ref()), String::new(), 1)
    }

    fn at(sink: &Rc<Sink<'a>>, table: Option<&'a DeTable<'a>>, path: String, line: usize) -> Self {
        Self { sink: sink.clone(), table, path, line, asked: RefCell::default() }
    }

    /// Whether the file has the table at all.
    pub const fn is_there(&self) -> bool {
        self.table.is_some()
    }

    /// The table's path begins with this from now on.
    pub fn rename(&mut self, path: String) {
        self.path = path;
    }

    fn field(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn get(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().push(key);
        self.table?.get(key)
    }

    /// The line of a field, or of the table if it is not there.
    pub fn line_of(&self, key: &str) -> usize {
        self.table.and_then(|table| table.get(key)).map_or(self.line, |value| self.sink.line(value.span().start))
    }

    /// Says that a field is wrong.
    pub fn refuse(&self, key: &str, what: impl Into<String>) {
        self.sink.add(self.line_of(key), &self.field(key), what);
    }

    fn refuse_type(&self, key: &'static str, wanted: &str, given: &DeValue<'_>) {
        self.refuse(key, format!("{wanted} is needed, this is of type {}", given.type_str()));
    }

    pub fn string(&self, key: &'static str) -> Option<&'a str> {
        let value = self.get(key)?.get_ref();
        if value.as_str().is_none() {
            self.refuse_type(key, "a text in quotes", value);
        }
        value.as_str()
    }

    /// A text that has to be there.
    pub fn required(&self, key: &'static str, hint: &str) -> Option<&'a str> {
        if self.table.is_none_or(|table| !table.contains_key(key)) {
            self.asked.borrow_mut().push(key);
            self.refuse(key, format!("is missing: {hint}"));
            return None;
        }
        self.string(key)
    }

    pub fn boolean(&self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.get(key).map(Spanned::get_ref) else { return default };
        value.as_bool().unwrap_or_else(|| {
            self.refuse_type(key, "true or false", value);
            default
        })
    }

    pub fn integer(&self, key: &'static str, allowed: RangeInclusive<i64>) -> Option<i64> {
        let value = self.get(key)?.get_ref();
        let Some(number) = value.as_integer() else {
            self.refuse_type(key, "a whole number", value);
            return None;
        };
        let number =
            i64::from_str_radix(number.as_str(), number.radix()).ok().filter(|number| allowed.contains(number));
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
        let Some(value) = self.get(key).map(Spanned::get_ref) else { return Vec::new() };
        let texts =
            value.as_array().map(|array| array.iter().map(|item| item.get_ref().as_str()).collect::<Option<Vec<_>>>());
        texts.flatten().unwrap_or_else(|| {
            self.refuse_type(key, "a list of texts, such as [\"linux\", \"x64\"],", value);
            Vec::new()
        })
    }

    /// A table in this one; empty when it is not there.
    pub fn table(&self, key: &'static str) -> Self {
        let value = self.get(key);
        let table = value.and_then(|value| value.get_ref().as_table());
        if let (Some(value), None) = (value, table) {
            self.refuse_type(key, &format!("a table [{}]", self.field(key)), value.get_ref());
        }
        Self::at(&self.sink, table, self.field(key), self.line_of(key))
    }

    /// Tables in a list in this one.
    pub fn tables(&self, key: &'static str) -> Vec<Self> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.refuse_type(key, &format!("tables [[{}]]", self.field(key)), value.get_ref());
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in array.iter() {
            match item.get_ref().as_table() {
                Some(table) => {
                    let line = self.sink.line(item.span().start);
                    tables.push(Self::at(&self.sink, Some(table), self.field(key), line));
                }
                None => self.refuse_type(key, &format!("tables [[{}]]", self.field(key)), item.get_ref()),
            }
        }
        tables
    }

    /// Refuses every field that nobody asked for.
    pub fn finish(&self) {
        let asked = self.asked.borrow();
        for (key, _) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
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
            self.sink.add(self.sink.line(key.span().start), &self.field(&shown.escape_debug().to_string()), what);
        }
    }
}
