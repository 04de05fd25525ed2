//! What people order in comments.
//!
//! A command is a whole line, in exact words, of what a person wrote themself: not of what they quote, show in a code
//! block, or hide in HTML. A comment is therefore read by a Markdown parser first, and only lines of paragraphs at the top
//! level count. Where there is doubt, a line is not a command: nobody can be made to approve by what they paste.

use std::borrow::Cow;
use std::fmt;

use pulldown_cmark::{Event, Parser, Tag};
use serde::{Deserialize, Serialize};

use crate::digest::DigestPrefix;
use crate::words::shown;

/// The most bytes of a comment that are read.
pub const COMMENT_BYTES_MAX: usize = 64 * 1024;
/// The most commands of one comment.
pub const COMMANDS_MAX: usize = 10;
/// The most characters of a lock's reason.
pub const REASON_CHARS_MAX: usize = 200;

/// How far an approval goes. Each word includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Consent {
    /// `/approve <digest>`: what creates and changes.
    Apply,
    /// `/approve <digest> destroy`: what destroys or replaces what holds state, too.
    Destroy,
    /// `/approve <digest> destroy kill-jobs`: a deletion does not wait for running jobs.
    KillJobs,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Apply the plan.
    Approve {
        /// Which; `None`: the only one.
        digest: Option<DigestPrefix>,
        /// How far.
        consent: Consent,
    },
    /// Make a plan, again.
    Plan,
    /// Give the change up.
    Cancel,
    /// Keep everybody from applying.
    Lock {
        /// Why; empty: not said. At most [`REASON_CHARS_MAX`] characters.
        reason: String,
    },
    /// End that.
    Unlock,
    /// Say how things are.
    Status,
    /// Say what can be ordered.
    Help,
}

impl Command {
    /// Every command's form and meaning, as the help shows them.
    pub const FORMS: [(&'static str, &'static str); 9] = [
        ("/approve <digest>", "apply exactly the plan with this digest; its first 12 digits are enough"),
        (
            "/approve <digest> destroy",
            "the same, when something that holds state is destroyed or replaced, and for every deletion",
        ),
        ("/approve <digest> destroy kill-jobs", "the same for a deletion, without waiting for running jobs"),
        ("/plan", "make a new plan; the one before is void"),
        ("/cancel", "give this change up; nothing is applied"),
        ("/lock [reason]", "keep everybody else from applying to this environment"),
        ("/unlock", "end a lock; one that a run holds ends only when the run is proved dead"),
        ("/status", "say what state this change is in, and what to do next"),
        ("/help", "this list"),
    ];
}

/// A line that was meant as a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// It is one.
    Known(Command),
    /// It is none of ours; the help is the answer.
    Unknown(Misread),
}

/// Why a line is not a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Misread {
    /// The line, cut to 80 characters, with what cannot be seen made visible.
    pub line: String,
    /// What is wrong with it, as a phrase.
    pub why: Cow<'static, str>,
}

impl fmt::Display for Misread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.why)
    }
}

/// Reads the commands of a comment, in their order. At most [`COMMANDS_MAX`]; further ones are answered as unknown.
#[must_use]
pub fn parse(comment: &str) -> Vec<Line> {
    if comment.len() > COMMENT_BYTES_MAX {
        return Vec::new();
    }
    let mut lines: Vec<Line> = own_lines(comment).into_iter().filter_map(read).take(COMMANDS_MAX + 1).collect();
    if lines.len() > COMMANDS_MAX {
        lines.pop();
        lines.push(Line::Unknown(Misread {
            line: "…".to_owned(),
            why: "ten commands in one comment are enough".into(),
        }));
    }
    lines
}

/// Lines of paragraphs at the top level, whole, that no inline construct touches at their beginning.
fn own_lines(text: &str) -> Vec<&str> {
    let mut paragraphs = Vec::new();
    // Inline constructs that can hold a line end, or that are not what they seem.
    let mut constructs = Vec::new();
    let (mut depth, mut html) = (0_usize, 0_i64);
    for (event, range) in Parser::new(text).into_offset_iter() {
        match event {
            Event::Start(Tag::Paragraph) => {
                if depth == 0 && html <= 0 {
                    paragraphs.push(range);
                }
                depth += 1;
            }
            Event::Start(tag) => {
                if depth > 0 && !matches!(tag, Tag::HtmlBlock) {
                    constructs.push(range);
                }
                depth += 1;
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Code(_) => constructs.push(range),
            Event::InlineHtml(part) => {
                html += nesting(&part);
                constructs.push(range);
            }
            Event::Html(part) => html += nesting(&part),
            _ => {}
        }
    }
    let is_plain = |start, end| !constructs.iter().any(|range| range.start < end && start < range.end);
    let mut lines = Vec::new();
    for paragraph in paragraphs {
        let mut start = paragraph.start;
        for line in text[paragraph].split_inclusive('\n') {
            // Markdown forgives blanks before a paragraph; an order has none. A reason may have code or emphasis in it; the
            // first word may not.
            let is_at_beginning = start == 0 || text.as_bytes()[start - 1] == b'\n';
            let word = line.find(char::is_whitespace).unwrap_or(line.len());
            if line.starts_with('/') && is_at_beginning && is_plain(start, start + word) {
                lines.push(line.trim_end());
            }
            start += line.len();
        }
    }
    lines
}

/// Elements that were opened less those that were closed. An element that is never closed hides the rest.
fn nesting(html: &str) -> i64 {
    let (mut depth, mut rest) = (0, html);
    while let Some(place) = rest.find('<') {
        rest = &rest[place + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, rest)| rest);
        } else if rest.starts_with('/') {
            depth -= 1;
        } else if rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let (tag, after) = rest.split_once('>').unwrap_or((rest, ""));
            let name: String = tag.chars().take_while(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
            let is_void = ["br", "hr", "img", "input", "wbr", "source", "col"].contains(&name.as_str());
            depth += i64::from(!is_void && !tag.ends_with('/'));
            rest = after;
        }
    }
    depth
}

/// `None`: the line is not meant as a command at all.
fn read(line: &str) -> Option<Line> {
    let rest = line.strip_prefix('/')?;
    let mut words = rest.split(' ').filter(|word| !word.is_empty());
    let name = rest.split(' ').next().filter(|name| !name.is_empty())?;
    // A path is not a command.
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || name.contains('/') {
        return None;
    }
    words.next();
    let words: Vec<&str> = words.collect();
    let unknown = |why: &'static str| Some(Line::Unknown(Misread { line: shown(line), why: why.into() }));
    let alone = |command| match words.as_slice() {
        [] => Some(Line::Known(command)),
        _ => unknown("nothing may stand behind this command"),
    };
    match name {
        "approve" => match approve(&words) {
            Ok(command) => Some(Line::Known(command)),
            Err(why) => unknown(why),
        },
        "plan" => alone(Command::Plan),
        "cancel" => alone(Command::Cancel),
        "unlock" => alone(Command::Unlock),
        "status" => alone(Command::Status),
        "help" => alone(Command::Help),
        "lock" => {
            let reason: String = words.join(" ").chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
            Some(Line::Known(Command::Lock { reason }))
        }
        _ => unknown("this is not a command"),
    }
}

fn approve(words: &[&str]) -> Result<Command, &'static str> {
    let [first, further @ ..] = words else { return Ok(Command::Approve { digest: None, consent: Consent::Apply }) };
    let digest = DigestPrefix::parse(first).ok_or("a digest has 12 to 64 hexadecimal digits")?;
    let consent = match further {
        [] => Consent::Apply,
        ["destroy"] => Consent::Destroy,
        ["destroy", "kill-jobs"] => Consent::KillJobs,
        _ => return Err("behind the digest only `destroy`, or `destroy kill-jobs`, may stand"),
    };
    Ok(Command::Approve { digest: Some(digest), consent })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "0123456789ab";

    fn names(comment: &str) -> Vec<String> {
        let name = |line: Line| match line {
            Line::Known(Command::Approve { digest, consent }) => {
                format!("approve {} {consent:?}", digest.map_or_else(|| "-".into(), |d| d.to_string()))
            }
            Line::Known(command) => format!("{command:?}").to_lowercase(),
            Line::Unknown(misread) => format!("? {misread}"),
        };
        parse(comment).into_iter().map(name).collect()
    }

    #[test]
    fn every_command_is_read() {
        assert_eq!(names("/approve"), ["approve - Apply"]);
        assert_eq!(names(&format!("/approve {DIGEST}")), ["approve 0123456789ab Apply"]);
        assert_eq!(names(&format!("/approve {DIGEST} destroy")), ["approve 0123456789ab Destroy"]);
        assert_eq!(names(&format!("/approve {DIGEST} destroy kill-jobs")), ["approve 0123456789ab KillJobs"]);
        assert_eq!(names("/lock we move the VPC"), ["lock { reason: \"we move the vpc\" }"]);
        assert_eq!(names("/lock"), ["lock { reason: \"\" }"]);
        assert_eq!(
            names("/plan\r\n/status \n\n/help\n/unlock\n/cancel"),
            ["plan", "status", "help", "unlock", "cancel"]
        );
        assert_eq!(names("Thanks!\n/plan\nand then\n/status"), ["plan", "status"]);
        assert_eq!(names("/lock because `x` is *bad*"), ["lock { reason: \"because `x` is *bad*\" }"]);
    }

    #[test]
    fn what_is_nearly_a_command_gets_the_help() {
        for near in [
            "/approvexyz",
            "/Approve",
            "/approve xyz",
            "/approve 0123456789a",
            "/approve 0123456789ab Destroy",
            "/approve 0123456789ab destroy now",
            "/plan now",
            "/apply",
            "/approve\u{a0}0123456789ab",
        ] {
            let read = parse(near);
            assert!(matches!(read.as_slice(), [Line::Unknown(_)]), "{near}: {read:?}");
        }
    }

    #[test]
    fn what_is_quoted_fenced_hidden_or_part_of_a_line_is_not_a_command() {
        for not in [
            "> /plan",
            "> quoted\n/plan",
            "```\n/plan\n```",
            "~~~~\n/plan\n~~~\n~~~~",
            "    /plan",
            "- /plan",
            "1. x\n   /plan",
            "# /plan",
            "<!-- \n/plan\n-->",
            "<!--\n\n/plan\n\n-->",
            "text <!-- \n/plan\n -->",
            "<details>\n\n/plan\n\n</details>",
            "<details><summary>x</summary>\n\n/plan",
            "`x\n/plan\ny`",
            "[a\n/plan\nb](http://x)",
            "**a\n/plan\nb**",
            "please /plan",
            "//plan",
            "/usr/bin/env",
            "/",
            "/ plan",
            " text /plan",
            " /plan",
            "   /plan",
            " \u{800}\n/\u{800}",
            "<b>\n/plan\n</b>",
            "<pre>\n\n/plan\n</pre>",
            "/plan\n===",
            "[x]: y\n'\n/plan\n'",
        ] {
            assert_eq!(names(not), Vec::<String>::new(), "{not}");
        }
        // An element that is closed hides nothing behind it.
        assert_eq!(names("<details>\n\nx\n\n</details>\n\n/plan"), ["plan"]);
    }

    #[test]
    fn commands_of_one_comment_are_bounded() {
        let read = parse(&"/plan\n".repeat(50));
        assert_eq!(read.len(), COMMANDS_MAX + 1);
        assert!(matches!(read.last(), Some(Line::Unknown(_))));
        assert!(parse(&"/plan\n".repeat(50_000)).is_empty());
    }

    proptest! {
        #[test]
        fn only_whole_lines_that_begin_with_a_slash_are_read(comment in "(/plan|/approve|[ a`>\n<!\\-*#]){0,12}") {
            let lines: Vec<&str> = comment.lines().map(str::trim_end).filter(|line| line.trim_start().starts_with('/')).collect();
            prop_assert!(parse(&comment).len() <= lines.len());
            for line in parse(&comment) {
                let Line::Known(Command::Plan) = line else { continue };
                prop_assert!(lines.iter().any(|line| line.trim() == "/plan"), "{comment:?}");
            }
        }

        #[test]
        fn nothing_in_a_fence_or_quote_is_read(inner in "[^`]{0,200}") {
            let fenced = parse(&format!("```\n{inner}\n```"));
            prop_assert!(fenced.is_empty());
            let quoted: String = inner.lines().map(|line| format!("> {line}\n")).collect();
            prop_assert!(parse(&quoted).is_empty());
        }

        #[test]
        fn the_parser_never_panics(comment in any::<String>()) {
            let _ = parse(&comment);
        }
    }
}
