//! Foreign text in Markdown, so that it stays text.

use crate::words::visible;

/// How many characters a text has, by the count that is never less than GitHub's.
#[must_use]
pub fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The longest run of a character.
fn longest_run(text: &str, of: char) -> usize {
    let (mut longest, mut run) = (0, 0);
    for c in text.chars() {
        run = if c == of { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// One line of foreign text: line ends and what cannot be seen are shown by their number.
pub(super) fn line(text: &str) -> String {
    text.chars().flat_map(visible).collect()
}

/// The most characters of a code span, with its ticks it is three times that at most.
const CODE_MAX: usize = 800;

/// Foreign text as a code span, cut to 800 characters: no mention, no link, no HTML, no end of its own.
#[must_use]
pub fn code(text: &str) -> String {
    let text = head(text, CODE_MAX);
    if text.trim().is_empty() {
        return "(nothing)".to_owned();
    }
    let ticks = "`".repeat(longest_run(&text, '`') + 1);
    // One blank at each end is taken away by Markdown, so it is always harmless.
    let pad = if text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) { " " } else { "" };
    format!("{ticks}{pad}{text}{pad}{ticks}")
}

/// Lines of foreign text with what cannot be seen shown, ready for a fence.
pub(super) fn lines(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        match c {
            '\n' | '\t' => kept.push(c),
            c => kept.extend(visible(c)),
        }
    }
    kept
}

/// Foreign text as a fenced block, with a fence that is longer than any in it. `info` is ours. Ends with a line end.
#[must_use]
pub fn fence(text: &str, info: &str) -> String {
    let text = lines(text);
    let ticks = "`".repeat(longest_run(&text, '`').max(2) + 1);
    format!("{ticks}{info}\n{}\n{ticks}\n", text.trim_end_matches('\n'))
}

/// The end of a long text, after cleaning, with a word about what is missing. Terraform says what failed at the end.
pub(super) fn tail(text: &str, chars_max: usize) -> String {
    let text = lines(text);
    let chars = text.chars().count();
    if chars <= chars_max {
        return text;
    }
    let kept: String = text.chars().skip(chars - chars_max).collect();
    format!("… {} characters before this are left out\n{kept}", chars - chars_max)
}

/// The beginning of a long line.
pub(super) fn head(text: &str, chars_max: usize) -> String {
    let text = line(text);
    if text.chars().count() <= chars_max {
        return text;
    }
    text.chars().take(chars_max).chain(['…']).collect()
}

/// As many of the items as there is room for, and how many there is none for. A budget and not a count: text made to be
/// long, or to need long fences, gets no more room than any other.
pub(super) fn some(items: impl ExactSizeIterator<Item = String>, room: usize) -> (Vec<String>, usize) {
    let (all, mut left) = (items.len(), room);
    let fits = |item: &String| {
        let is_room = length(item) <= left;
        left = left.saturating_sub(length(item));
        is_room
    };
    let items: Vec<String> = items.take_while(fits).collect();
    let more = all - items.len();
    (items, more)
}

/// Foreign names in a sentence.
pub(super) fn names<'a>(items: impl ExactSizeIterator<Item = &'a str>, room: usize) -> String {
    let (names, more) = some(items.map(|name| code(&head(name, 140))), room);
    match (names.is_empty(), more) {
        (_, 0) => names.join(", "),
        (true, more) => format!("{more}, too long to be shown"),
        (false, more) => format!("{} and {more} more", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

    use super::*;

    fn events(text: &str) -> Vec<Event<'_>> {
        Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_GFM | Options::ENABLE_STRIKETHROUGH).collect()
    }

    fn hostile() -> impl Strategy<Value = String> {
        let bits = prop::sample::select(vec![
            "`",
            "``",
            "```",
            "````",
            "~~~",
            "\n",
            "\r",
            "\r\n",
            " ",
            "    ",
            "<b>",
            "</details>",
            "<!--",
            "-->",
            "@all",
            "#1",
            "[x](http://x)",
            "x",
            "|",
            "\\",
            "&amp;",
            "> ",
            "- ",
            "\u{202e}",
            "\u{0}",
            "\u{1b}[0m",
            "\t",
            "é",
            "😀",
        ]);
        prop::collection::vec(bits, 0..20).prop_map(|bits| bits.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_fence_cannot_be_broken(text in prop_oneof![hostile(), any::<String>()]) {
            let whole = format!("{}\nEND\n", fence(&text, "text"));
            let events = events(&whole);
            prop_assert!(matches!(events[0], Event::Start(Tag::CodeBlock(_))));
            let end = events.iter().position(|event| *event == Event::End(TagEnd::CodeBlock)).unwrap();
            prop_assert!(events[1..end].iter().all(|event| matches!(event, Event::Text(_))));
            let rest: Vec<_> = events[end + 1..].to_vec();
            prop_assert_eq!(rest, vec![Event::Start(Tag::Paragraph), Event::Text("END".into()), Event::End(TagEnd::Paragraph)]);
        }

        #[test]
        fn a_code_span_cannot_be_broken(text in prop_oneof![hostile(), any::<String>()]) {
            let whole = format!("- a {} z", code(&text));
            let events = events(&whole);
            prop_assert_eq!(events.len(), if code(&text) == "(nothing)" { 5 } else { 7 }, "{:?}", events);
            prop_assert!(events[2] == Event::Text("a ".into()) || code(&text) == "(nothing)");
        }
    }

    #[test]
    fn characters_are_counted_as_never_fewer_than_github_does() {
        assert_eq!((length("é"), length("😀"), length("")), (1, 2, 0));
        assert!(tail(&"x".repeat(100), 10).ends_with("xxxxxxxxxx"));
    }
}
