//! Where a plan is shown: in the first comment what fits, in further comments every resource, in a file all of it.
//!
//! The layout is made before the digest, which covers what further comments and the file say; so nothing here knows it.

use super::markdown::{fence, head, length, lines};
use super::{CHARS_MAX, Marker};
use crate::digest::Digest;
use crate::summary::{Effect, ResourceChange, Summary};

/// The most characters of the list of resources in the first comment, and of the plan's text there.
const MAIN_LIST_MAX: usize = 18_000;
const MAIN_TEXT_MAX: usize = 18_000;
/// Room for what is lost, at most; then the plan is refused, since it cannot be shown.
const CONTINUATIONS_MAX: usize = 100;
/// Room for everything else. What has no room is in the file.
const CONTINUATIONS_OTHER_MAX: usize = 20;
/// The list's share of a further comment; the rest is its heading and fence.
const CONTINUATION_LIST_MAX: usize = CHARS_MAX - 1_500;
/// The most characters of an address. A longer one is cut and made distinct by a hash.
const ADDRESS_MAX: usize = 600;

/// A plan that cannot be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the plan loses {losses} resources, more than {CONTINUATIONS_MAX} comments can name; hint: delete in several changes"
)]
pub struct TooLong {
    /// How many resources would be lost.
    pub losses: usize,
}

/// Where a plan is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The list in the first comment: whole, or its beginning.
    pub(super) list: String,
    /// How many resources the first comment does not name.
    pub(super) list_more: usize,
    /// The plan's text, if it fits in the first comment.
    pub(super) text: Option<String>,
    /// Further comments, in order.
    pub continuations: Vec<String>,
    /// A file with everything, when the first comment has not.
    pub file: Option<String>,
}

/// A resource in one line.
fn entry(change: &ResourceChange) -> String {
    let mut address = head(&change.address, ADDRESS_MAX);
    if address.ends_with('…') {
        address = format!("{address} (sha256 {})", Digest::of(change.address.as_bytes()).short());
    }
    let holds = if change.holds_state && change.effect.loses() { "  (holds state)" } else { "" };
    let sign = match change.effect {
        Effect::Destroy => "-",
        Effect::Replace | Effect::Forget | Effect::Update => "!",
        Effect::Create | Effect::Import => "+",
    };
    format!("{sign} {:9} {address}{holds}\n", change.effect.word())
}

impl Layout {
    /// Lays a plan out. `text` is what `terraform show` says of it.
    ///
    /// # Errors
    /// When not every resource that would be lost can be named.
    pub fn of(summary: &Summary, text: &str) -> Result<Self, TooLong> {
        let entries: Vec<String> = summary.changes.iter().map(entry).collect();
        let (mut list, mut listed) = (String::new(), 0);
        let mut room = MAIN_LIST_MAX;
        for entry in &entries {
            let Some(left) = room.checked_sub(length(entry)) else { break };
            room = left;
            list.push_str(entry);
            listed += 1;
        }
        let text = lines(text);
        // With its fence, which is as long as the text wants it to be.
        let fits = length(&fence(&text, "")) <= MAIN_TEXT_MAX;
        let list_more = entries.len() - listed;
        let continuations = if list_more == 0 { Vec::new() } else { continuations(&entries, summary)? };
        let file = (list_more > 0 || !fits).then(|| file(summary, &text));
        Ok(Self { list, list_more, text: fits.then_some(text), continuations, file })
    }

    /// What the digest covers: each further comment, then the file.
    #[must_use]
    pub fn digests(&self) -> Vec<Digest> {
        self.continuations.iter().chain(&self.file).map(|text| Digest::of(text.as_bytes())).collect()
    }
}

fn continuations(entries: &[String], summary: &Summary) -> Result<Vec<String>, TooLong> {
    let losses = summary.changes.iter().filter(|change| change.effect.loses()).count();
    let mut pages = vec![String::new()];
    let (mut room, mut left_out) = (CONTINUATION_LIST_MAX, 0);
    for (place, entry) in entries.iter().enumerate() {
        // Losses come first: the order of a summary.
        let pages_max = if place < losses { CONTINUATIONS_MAX } else { CONTINUATIONS_OTHER_MAX };
        let needs_page = length(entry) > room;
        if needs_page && pages.len() >= pages_max {
            if place < losses {
                return Err(TooLong { losses });
            }
            left_out = entries.len() - place;
            break;
        }
        if needs_page {
            pages.push(String::new());
            room = CONTINUATION_LIST_MAX;
        }
        room -= length(entry);
        if let Some(page) = pages.last_mut() {
            page.push_str(entry);
        }
    }
    let (all, last) = (pages.len(), pages.len());
    let page = |(place, list): (usize, &String)| {
        let number = place + 1;
        let more = if number == last && left_out > 0 {
            format!("\n{left_out} more, none of them lost, are in the plan's file.\n")
        } else {
            String::new()
        };
        format!(
            "{}\n**What the plan would do, {number} of {all}**\n\n{}{more}",
            Marker::Continuation(number).line(),
            fence(list, "diff")
        )
    };
    Ok(pages.iter().enumerate().map(page).collect())
}

fn file(summary: &Summary, text: &str) -> String {
    let mut file = format!("{summary}\n\n");
    for change in &summary.changes {
        file.push_str(&format!("{:9} {}\n", change.effect.word(), super::markdown::line(&change.address)));
    }
    file.push('\n');
    file.push_str(text);
    if !file.ends_with('\n') {
        file.push('\n');
    }
    file
}
