//! The two forms of a body. Markdown is read by a Markdown parser, so that a heading in a code block is not a heading;
//! JSON is one flat object of plain values, so that nothing can be nested, repeated or deep.

use std::fmt;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Parser, Tag, TagEnd};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use super::{Field, Given, Refused, RequestKind, RequestProblem};
use crate::words::shown;

/// The most bytes of a body that are read. GitHub allows 65,536 characters of up to four bytes; no form needs them.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// The most characters of one value; the reason may be longer, since it is not kept.
const VALUE_CHARS_MAX: usize = 1000;
/// What GitHub writes for a field that was left empty.
const NO_RESPONSE: &str = "_No response_";

/// Reads the fields of a body, in the form of an issue form or with the philips-labs module's JSON block.
///
/// # Errors
/// When the body is too large, has neither form, or says a thing twice; all problems are listed.
pub fn parse(body: &str, kind: RequestKind) -> Result<Given, Refused> {
    if body.len() > BODY_BYTES_MAX {
        let allowed = format!("the issue has {} bytes; {BODY_BYTES_MAX} are read", body.len());
        return Err(Refused(vec![RequestProblem::of_issue("", allowed)]));
    }
    let sections = sections(body);
    let is_form = sections.iter().any(|section| Field::named(&section.heading).is_some());
    let (mut given, mut problems) = (Given::new(), Vec::new());
    let pairs = if is_form {
        sections.into_iter().map(|section| (section.heading, section.value)).collect()
    } else {
        match json(body) {
            Ok(pairs) => pairs,
            Err(problem) => return Err(Refused(vec![problem])),
        }
    };
    for (name, value) in pairs {
        let Some(field) = Field::named(&name) else {
            problems.push(unknown(&name, kind, is_form));
            continue;
        };
        if !kind.fields().contains(&field) {
            // A deletion written from the block that created the set says more than is needed; that harms nothing.
            continue;
        }
        // Emptiness is checked first: a form may show a field empty and a person may then write it below.
        if field != Field::Reason && value.chars().count() > VALUE_CHARS_MAX {
            let allowed = format!("at most {VALUE_CHARS_MAX} characters; {} were given", value.chars().count());
            problems.push(RequestProblem::of(field, &value, allowed, ""));
        }
        if given.insert(field, value).is_some() {
            problems.push(RequestProblem::of(field, "", "one value; the field is there twice", ""));
        }
    }
    given.retain(|_, value| !value.is_empty());
    if problems.is_empty() { Ok(given) } else { Err(Refused(problems)) }
}

fn unknown(name: &str, kind: RequestKind, is_form: bool) -> RequestProblem {
    let word = |field: &Field| if is_form { field.title() } else { field.key() };
    let known: Vec<&str> = kind.fields().iter().map(word).collect();
    let near = known.iter().map(|known| (strsim::jaro_winkler(&known.to_lowercase(), &name.to_lowercase()), known));
    let near = near.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
    RequestProblem {
        field: "Issue".to_owned(),
        given: shown(name),
        allowed: format!("these fields and no others: {}", known.join(", ")),
        example: near.map(|(_, known)| (*known).to_owned()).unwrap_or_default(),
    }
}

struct Section {
    heading: String,
    value: String,
}

/// The parts below third-level headings that stand by themselves, as an issue form writes them.
fn sections(body: &str) -> Vec<Section> {
    let (mut depth, mut headings) = (0_usize, Vec::new());
    for (event, range) in Parser::new(body).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { level: HeadingLevel::H3, .. }) => {
                if depth == 0 {
                    headings.push(range);
                }
                depth += 1;
            }
            Event::Start(_) => depth += 1,
            Event::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    let ends = headings.iter().skip(1).map(|next| next.start).chain([body.len()]).collect::<Vec<_>>();
    let section = |(heading, end): (&std::ops::Range<usize>, usize)| Section {
        heading: body[heading.clone()].trim().trim_start_matches('#').trim_end_matches('#').trim().to_owned(),
        value: value(&body[heading.end..end]),
    };
    headings.iter().zip(ends).map(section).collect()
}

/// What was written below a heading: GitHub's words for nothing are nothing, and a sole code block is its content.
fn value(text: &str) -> String {
    let text = text.trim();
    if text == NO_RESPONSE {
        return String::new();
    }
    match code_blocks(text).as_slice() {
        [(code, range)] if text[..range.start].trim().is_empty() && text[range.end..].trim().is_empty() => {
            code.trim().to_owned()
        }
        _ => text.to_owned(),
    }
}

/// Fenced code blocks with their place.
fn code_blocks(text: &str) -> Vec<(String, std::ops::Range<usize>)> {
    let (mut blocks, mut open) = (Vec::new(), None::<(String, usize)>);
    for (event, range) in Parser::new(text).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) => open = Some((String::new(), range.start)),
            Event::Text(part) => {
                if let Some((code, _)) = &mut open {
                    code.push_str(&part);
                }
            }
            Event::End(TagEnd::CodeBlock) => {
                if let Some((code, start)) = open.take() {
                    blocks.push((code, start..range.end));
                }
            }
            _ => {}
        }
    }
    blocks
}

fn json(body: &str) -> Result<Vec<(String, String)>, RequestProblem> {
    let neither =
        || RequestProblem::of_issue("", "the fields of the issue form, or one JSON block with the same fields");
    let mut fenced: Vec<String> = code_blocks(body).into_iter().map(|(code, _)| code).collect();
    fenced.retain(|code| code.trim_start().starts_with('{'));
    let text = match fenced.len() {
        0 => bare(body).ok_or_else(neither)?,
        1 => fenced.remove(0),
        _ => return Err(RequestProblem::of_issue("", "one JSON block; there is more than one")),
    };
    match serde_json::from_str::<Flat>(text.trim()) {
        Ok(flat) => Ok(flat.0),
        Err(error) => {
            let curly = text.contains(['\u{201c}', '\u{201d}', '\u{201e}']);
            let hint = if curly { "; the quotes must be straight ones (\")" } else { "" };
            let message: String = error.to_string().chars().take(200).collect();
            Err(RequestProblem::of_issue(
                "",
                format!("a JSON object with plain values; reading it failed: {}{hint}", shown(&message)),
            ))
        }
    }
}

/// The text from the first line that begins an object to the last that ends one. Were there two, it would not be JSON.
fn bare(body: &str) -> Option<String> {
    let start = body.lines().find(|line| line.trim_start().starts_with('{')).map(|line| line.as_ptr())?;
    let start = start as usize - body.as_ptr() as usize;
    let end = body.rfind('}')?;
    body.get(start..=end).map(str::to_owned)
}

/// One object of plain values; in the order given, repeats included.
struct Flat(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Flat {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FlatVisitor)
    }
}

struct FlatVisitor;

impl<'de> Visitor<'de> for FlatVisitor {
    type Value = Flat;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Flat, A::Error> {
        let mut pairs = Vec::new();
        while let Some((key, Plain(value))) = map.next_entry::<String, Plain>()? {
            pairs.push((key, value));
        }
        Ok(Flat(pairs))
    }
}

/// A text, a number, true, false or null, as text.
struct Plain(String);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlainVisitor).map(Plain)
    }
}

struct PlainVisitor;

impl Visitor<'_> for PlainVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a number")
    }
    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.trim().to_owned())
    }
    fn visit_bool<E>(self, value: bool) -> Result<String, E> {
        Ok(value.to_string())
    }
    fn visit_u64<E>(self, value: u64) -> Result<String, E> {
        Ok(value.to_string())
    }
    fn visit_i64<E>(self, value: i64) -> Result<String, E> {
        Ok(value.to_string())
    }
    fn visit_f64<E>(self, value: f64) -> Result<String, E> {
        Ok(value.to_string())
    }
    fn visit_unit<E>(self) -> Result<String, E> {
        Ok(String::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(body: &str) -> Vec<(&'static str, String)> {
        parse(body, RequestKind::Set).unwrap().into_iter().map(|(field, value)| (field.key(), value)).collect()
    }

    fn problems(body: &str) -> String {
        let Refused(problems) = parse(body, RequestKind::Set).unwrap_err();
        problems.iter().map(|p| format!("{}: {:?} / {} / {}\n", p.field, p.given, p.allowed, p.example)).collect()
    }

    #[test]
    fn a_form_and_both_kinds_of_json_block_say_the_same() {
        let form = "### Environment\n\nlinux\n\n### Maximum runners\r\n\r\n3\r\n\n### Image filter\n\n_No response_\n";
        let wanted = vec![("environment", "linux".to_owned()), ("maxRunners", "3".to_owned())];
        assert_eq!(pairs(form), wanted);
        let object = "{\n  \"environment\": \"linux\",\n\n  \"maxRunners\": \"3\",\n \"amiFilter\": null }";
        assert_eq!(pairs(object), wanted);
        assert_eq!(pairs(&format!("Please!\n\n```json\n{object}\n```\nThanks")), wanted);
        assert_eq!(pairs(&format!("Please!\n{object}\nThanks")), wanted);
        assert_eq!(pairs(&object.replace("\"3\"", "3")), wanted);
    }

    #[test]
    fn a_heading_inside_a_value_is_seen_as_a_repeat_and_inside_a_fence_is_not_a_heading() {
        let forged = "### Environment\n\nlinux\n\n### Reason\n\nplease\n\n### Environment\n\nother\n";
        assert_eq!(problems(forged), "Environment: \"\" / one value; the field is there twice / \n");
        let fenced = "### Environment\n\nlinux\n\n### Reason\n\n```\n### Environment\n\nother\n```\n";
        assert_eq!(pairs(fenced)[0].1, "linux");
        assert_eq!(pairs("### Environment\n\n```text\nlinux\n```\n")[0].1, "linux");
    }

    #[test]
    fn json_that_is_deep_nested_repeated_or_doubled_is_refused() {
        let deep = format!("{{\"environment\": {}1{}}}", "[".repeat(30_000), "]".repeat(30_000));
        assert!(problems(&deep).contains("expected a text or a number"));
        assert!(problems(r#"{"environment": {"a": 1}}"#).contains("expected a text or a number"));
        assert!(problems(r#"{"environment": "a", "environment": "b"}"#).contains("there twice"));
        assert!(
            problems("```\n{\"environment\": \"a\"}\n```\n```\n{\"environment\": \"b\"}\n```")
                .contains("more than one")
        );
        assert!(problems("{\"environment\": \"a\"}\n{\"environment\": \"b\"}").contains("trailing characters"));
        assert!(problems("{\u{201c}environment\u{201d}: \"a\"}").contains("straight"));
    }

    #[test]
    fn what_is_unknown_is_answered_with_what_was_meant() {
        assert!(problems(r#"{"enviroment": "a"}"#).ends_with("/ environment\n"));
        assert!(problems("### Environment\n\na\n\n### Maximum runner\n\n3").ends_with("/ Maximum runners\n"));
        assert_eq!(parse("### Environment\n\na\n\n### Maximum runners\n\n3", RequestKind::Delete).unwrap().len(), 1);
        assert!(problems("give me runners").contains("fields of the issue form"));
    }

    #[test]
    fn a_large_body_is_not_read() {
        assert!(problems(&"x".repeat(1 << 20)).contains("1048576 bytes; 65536 are read"));
        let long = format!("### Environment\n\n{}", "x".repeat(2000));
        assert!(problems(&long).contains("at most 1000 characters; 2000 were given"));
    }

    #[test]
    fn the_label_says_the_kind_and_both_labels_say_nothing() {
        assert_eq!(RequestKind::of_labels(["bug", "self-hosted-runner-scale-set"]), Some(RequestKind::Set));
        assert_eq!(RequestKind::of_labels(["delete-self-hosted-runner-scale-set"]), Some(RequestKind::Delete));
        assert_eq!(RequestKind::of_labels(RequestKind::ALL.map(RequestKind::label)), None);
        assert_eq!(RequestKind::of_labels(["bug"]), None);
    }
}
