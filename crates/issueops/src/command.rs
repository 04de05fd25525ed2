//! What people order in comments.
//!
//! A command is a whole line, in exact words, of what a person wrote themself: not of what they quote, show in a code
//! block, or hide in HTML. A comment is therefore read by a Markdown parser first, and only lines of paragraphs at the top
//! level count. Where there is doubt, a line is not a command: nobody can be made to approve by what they paste.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag};
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
pub enum CommentCommand {
    /// Apply the plan.
    Approve {
        /// Which; `None`: the only one.
        digest: Option<DigestPrefix>,
        /// How far.
        consent: Consent,
    },
    /// Make a plan, again.
    Plan {
        /// Of which files, where they were edited by hand; `None`: of what the request renders.
        files: Option<DigestPrefix>,
    },
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

impl CommentCommand {
    /// Every command's form and meaning, as the help shows them.
    pub const FORMS: [(&'static str, &'static str); 10] = [
        ("/approve <digest>", "apply exactly the plan with this digest; its first 12 digits are enough"),
        (
            "/approve <digest> destroy",
            "the same, when something that holds state is destroyed or replaced, and for every deletion",
        ),
        ("/approve <digest> destroy kill-jobs", "the same for a deletion, without waiting for running jobs"),
        ("/plan", "make a new plan; the one before is void"),
        ("/plan <digest>", "the same, of exactly the files with this digest, when files were edited by hand"),
        ("/cancel", "give this change up; nothing is applied"),
        ("/lock [reason]", "keep everybody else from applying to this environment"),
        ("/unlock", "end a lock; one that a run holds ends only when the run is proved dead"),
        ("/status", "say what state this change is in, and what to do next"),
        ("/help", "this list"),
    ];
}

/// A line that was meant as a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommentLine {
    /// It is one.
    Known(CommentCommand),
    /// It is not one of ours; the help is the answer.
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
pub fn parse(comment: &str) -> Vec<CommentLine> {
    if comment.len() > COMMENT_BYTES_MAX {
        return Vec::new();
    }
    let mut lines: Vec<CommentLine> = own_lines(comment).into_iter().filter_map(read).take(COMMANDS_MAX + 1).collect();
    if lines.len() > COMMANDS_MAX {
        lines.pop();
        lines.push(CommentLine::Unknown(Misread {
            line: "…".to_owned(),
            why: "ten commands in one comment are enough".into(),
        }));
    }
    lines
}

/// Lines of paragraphs at the top level, whole, that no inline construct touches at their beginning and no HTML hides.
fn own_lines(text: &str) -> Vec<&str> {
    let (mut paragraphs, mut constructs, mut html) = (Vec::new(), Constructs::default(), Html::default());
    // From which place on text is hidden, or shown again.
    let mut hidden = vec![(0, false)];
    let mut depth = 0_usize;
    for (event, range) in Parser::new_ext(text, markdown()).into_offset_iter() {
        match event {
            Event::Start(Tag::Paragraph) => {
                if depth == 0 {
                    paragraphs.push(range);
                }
                depth += 1;
            }
            Event::Start(tag) => {
                if depth > 0 && !matches!(tag, Tag::HtmlBlock) {
                    constructs.add(range);
                }
                depth += 1;
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Code(_) | Event::InlineMath(_) | Event::DisplayMath(_) | Event::FootnoteReference(_) => {
                constructs.add(range);
            }
            Event::InlineHtml(part) => {
                html.read(&part);
                hidden.push((range.end, html.hides()));
                constructs.add(range);
            }
            Event::Html(part) => {
                html.read(&part);
                hidden.push((range.end, html.hides()));
            }
            _ => {}
        }
    }
    let is_shown = |place| !hidden[hidden.partition_point(|(from, _)| *from <= place) - 1].1;
    let mut lines = Vec::new();
    for paragraph in paragraphs {
        let mut start = paragraph.start;
        for line in text[paragraph].split_inclusive('\n') {
            // Markdown forgives blanks before a paragraph; an order has none. A reason may have code or emphasis in it; the
            // first word may not.
            let is_at_beginning = start == 0 || text.as_bytes()[start - 1] == b'\n';
            let word = line.find(char::is_whitespace).unwrap_or(line.len());
            let is_own = line.starts_with('/') && is_at_beginning && is_shown(start);
            if is_own && !constructs.touch(&(start..start + word)) {
                lines.push(line.trim_end());
            }
            start += line.len();
        }
    }
    lines
}

/// What GitHub shows as more than text. What is struck out, in a table, a formula or a footnote is no order.
fn markdown() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_GFM
        | Options::ENABLE_MATH
}

/// Inline constructs that can hold a line end, or that are not what they seem: places in order, without overlaps, so that a
/// comment made of thousands of them costs no more than its length.
#[derive(Default)]
struct Constructs(Vec<Range<usize>>);

impl Constructs {
    /// They come in the order of their beginnings; inner ones lie in outer ones.
    fn add(&mut self, range: Range<usize>) {
        match self.0.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => self.0.push(range),
        }
    }

    fn touch(&self, place: &Range<usize>) -> bool {
        let next = self.0.partition_point(|range| range.end <= place.start);
        self.0.get(next).is_some_and(|range| range.start < place.end)
    }
}

/// HTML that is open at a place of a comment. What is in an element, or in a comment, is no order: it may be folded away.
/// Browsers forgive much; this does not. After HTML that is not plainly nested nothing is shown.
#[derive(Default)]
struct Html {
    open: Vec<String>,
    is_in_comment: bool,
    is_lost: bool,
}

impl Html {
    fn hides(&self) -> bool {
        self.is_lost || self.is_in_comment || !self.open.is_empty()
    }

    /// A part of the HTML; a comment may go on in the next one, a tag may not.
    fn read(&mut self, mut rest: &str) {
        while !self.is_lost {
            if self.is_in_comment {
                let (inside, after) = rest.split_once("-->").unwrap_or((rest, ""));
                self.is_in_comment = !rest.contains("-->");
                self.is_lost = inside.contains('<') || inside.contains("--!>");
                rest = after;
                if self.is_in_comment {
                    return;
                }
                continue;
            }
            let Some((_, after)) = rest.split_once('<') else { return };
            if let Some(comment) = after.strip_prefix("!--") {
                self.is_in_comment = true;
                self.is_lost = comment.starts_with(['>', '-']);
                rest = comment;
                continue;
            }
            let Some((tag, after)) = after.split_once('>') else {
                self.is_lost = true;
                return;
            };
            self.tag(tag);
            rest = after;
        }
    }

    /// What stands between `<` and the first `>`.
    fn tag(&mut self, tag: &str) {
        let (is_end, tag) = tag.strip_prefix('/').map_or((false, tag), |tag| (true, tag));
        let name: String = tag.chars().take_while(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
        let has_whole_quotes = ['"', '\''].iter().all(|quote| tag.matches(*quote).count() % 2 == 0);
        let is_named = name.starts_with(|c: char| c.is_ascii_alphabetic());
        let is_delimited = tag[name.len()..].is_empty() || tag[name.len()..].starts_with([' ', '\t', '\n', '\r', '/']);
        let is_void = ["br", "hr", "img", "input", "wbr", "source", "col"].contains(&name.as_str());
        if tag.contains('<') || !has_whole_quotes || !is_named || !is_delimited {
            self.is_lost = true;
        } else if !is_end && !is_void {
            // A slash at the end closes nothing in HTML.
            self.open.push(name);
        } else if is_end && self.open.pop().as_ref() != Some(&name) {
            self.is_lost = true;
        }
    }
}

/// `None`: the line is not meant as a command at all.
fn read(line: &str) -> Option<CommentLine> {
    let rest = line.strip_prefix('/')?;
    let mut words = rest.split(' ').filter(|word| !word.is_empty());
    let name = rest.split(' ').next().filter(|name| !name.is_empty())?;
    // A path is not a command.
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || name.contains('/') {
        return None;
    }
    words.next();
    let words: Vec<&str> = words.collect();
    let unknown = |why: &'static str| Some(CommentLine::Unknown(Misread { line: shown(line), why: why.into() }));
    let alone = |command| match words.as_slice() {
        [] => Some(CommentLine::Known(command)),
        _ => unknown("nothing may stand behind this command"),
    };
    match name {
        "approve" => match approve(&words) {
            Ok(command) => Some(CommentLine::Known(command)),
            Err(why) => unknown(why),
        },
        "plan" => match plan(&words) {
            Ok(command) => Some(CommentLine::Known(command)),
            Err(why) => unknown(why),
        },
        "cancel" => alone(CommentCommand::Cancel),
        "unlock" => alone(CommentCommand::Unlock),
        "status" => alone(CommentCommand::Status),
        "help" => alone(CommentCommand::Help),
        "lock" => {
            let reason: String = words.join(" ").chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
            Some(CommentLine::Known(CommentCommand::Lock { reason }))
        }
        _ => unknown("this is not a command"),
    }
}

/// What a digest looks like, as the reason why something is not one.
const NO_DIGEST: &str = "a digest has 12 to 64 hexadecimal digits";

fn plan(words: &[&str]) -> Result<CommentCommand, &'static str> {
    match words {
        [] => Ok(CommentCommand::Plan { files: None }),
        [digest] => Ok(CommentCommand::Plan { files: Some(DigestPrefix::parse(digest).ok_or(NO_DIGEST)?) }),
        _ => Err("behind this command only a digest may stand"),
    }
}

fn approve(words: &[&str]) -> Result<CommentCommand, &'static str> {
    let [first, further @ ..] = words else {
        return Ok(CommentCommand::Approve { digest: None, consent: Consent::Apply });
    };
    let digest = DigestPrefix::parse(first).ok_or(NO_DIGEST)?;
    let consent = match further {
        [] => Consent::Apply,
        ["destroy"] => Consent::Destroy,
        ["destroy", "kill-jobs"] => Consent::KillJobs,
        _ => return Err("behind the digest only `destroy`, or `destroy kill-jobs`, may stand"),
    };
    Ok(CommentCommand::Approve { digest: Some(digest), consent })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "0123456789ab";

    fn names(comment: &str) -> Vec<String> {
        let name = |line: CommentLine| match line {
            CommentLine::Known(CommentCommand::Approve { digest, consent }) => {
                format!("approve {} {consent:?}", digest.map_or_else(|| "-".into(), |d| d.to_string()))
            }
            CommentLine::Known(CommentCommand::Plan { files }) => {
                format!("plan{}", files.map_or_else(String::new, |digest| format!(" {digest}")))
            }
            CommentLine::Known(command) => format!("{command:?}").to_lowercase(),
            CommentLine::Unknown(misread) => format!("? {misread}"),
        };
        parse(comment).into_iter().map(name).collect()
    }

    #[test]
    fn every_command_is_read() {
        assert_eq!(names("/approve"), ["approve - Apply"]);
        assert_eq!(names(&format!("/approve {DIGEST}")), ["approve 0123456789ab Apply"]);
        assert_eq!(names(&format!("/approve {DIGEST} destroy")), ["approve 0123456789ab Destroy"]);
        assert_eq!(names(&format!("/approve {DIGEST} destroy kill-jobs")), ["approve 0123456789ab KillJobs"]);
        assert_eq!(names(&format!("/plan {DIGEST}")), ["plan 0123456789ab"]);
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
            "/plan 0123456789a",
            "/plan 0123456789ab destroy",
            "/apply",
            "/approve\u{a0}0123456789ab",
        ] {
            let read = parse(near);
            assert!(matches!(read.as_slice(), [CommentLine::Unknown(_)]), "{near}: {read:?}");
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
            // Struck out, in a table, in a formula, in a footnote.
            "~~no\n/plan\nno~~",
            "| a |\n| - |\n/plan",
            "$$\n/plan\n$$",
            "[^1]\n\n[^1]: a\n\n    b\n\n    /plan",
            // Folded away, whatever stands before.
            "text <details> x\n/plan",
            "</b>\n\n<details>\n\n/plan\n\n</details>",
            "<details></b>\n\n/plan",
            "<details/>\n\n/plan",
            "<details>\n<!--\n</details>\n-->\n\n/plan",
            "<details title=\"></details>\">\n\n/plan",
            "<details>\n<?x </details> ?>\n\n/plan",
            "<details><table></details>\n\n/plan",
            "<!--><details> -->\n\n/plan",
            "<details\n>\n\n/plan",
        ] {
            assert_eq!(names(not), Vec::<String>::new(), "{not}");
        }
        // An element that is closed hides nothing behind it.
        for shown in [
            "<details>\n\nx\n\n</details>\n\n/plan",
            "<!-- a template's\nwords -->\n\n/plan",
            "<details><summary>x</summary>\n\n```\n/help\n```\n</details>\n\n/plan",
            "A picture <img width=\"1\" alt=\"x\" src=\"https://x/y\" /> and\n/plan",
            "1 < 2 and <b>so</b>\n/plan",
        ] {
            assert_eq!(names(shown), ["plan"], "{shown}");
        }
    }

    #[test]
    fn commands_of_one_comment_are_bounded() {
        let read = parse(&"/plan\n".repeat(50));
        assert_eq!(read.len(), COMMANDS_MAX + 1);
        assert!(matches!(read.last(), Some(CommentLine::Unknown(_))));
        assert!(parse(&"/plan\n".repeat(50_000)).is_empty());
    }

    proptest! {
        #[test]
        fn only_whole_lines_that_begin_with_a_slash_are_read(comment in "(/plan|/approve|[ a`>\n<!\\-*#]){0,12}") {
            let lines: Vec<&str> = comment.lines().map(str::trim_end).filter(|line| line.trim_start().starts_with('/')).collect();
            prop_assert!(parse(&comment).len() <= lines.len());
            for line in parse(&comment) {
                let CommentLine::Known(CommentCommand::Plan { files: None }) = line else { continue };
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
