//! The one function: record and event in, record and steps out.

use runnersmith_types::Timestamp;

use super::draft::Draft;
use super::event::LifecycleEvent;
use super::state::Change;
use super::step::{ChangeStep, Decision, Reaction, Reply};
use super::{commands, progress};
use crate::command;
use crate::policy::ApprovalRules;

/// Decides what follows from an event. Total: an event that does not fit the state changes nothing.
#[must_use]
pub fn decide(change: &Change, event: &LifecycleEvent, rules: &ApprovalRules, now: Timestamp) -> Decision {
    let mut draft = Draft { change: change.clone(), steps: Vec::new(), rules, now };
    match event {
        LifecycleEvent::Comment { comment, lock, run, editors, edited } => {
            // Only what a person newly wrote on this very pull request counts. What is never an order is not remembered either.
            let counts = comment.is_new && comment.actor.is_person;
            let is_here = comment.pull == change.pull && !comment.is_fork;
            if !counts || !is_here || change.was_handled(comment.id) {
                return Decision { change: change.clone(), steps: Vec::new() };
            }
            let lines = command::parse(&comment.body);
            if lines.is_empty() {
                return Decision { change: change.clone(), steps: Vec::new() };
            }
            draft.change.remember(comment.id);
            // An edited comment could be an old one that was armed again, or another person's: it orders nothing, and that is said.
            if comment.is_edited {
                draft.steps.push(ChangeStep::React { comment: comment.id, reaction: Reaction::Confused });
                draft.say(Reply::Edited { author: comment.actor.account.login.clone() });
                return Decision { change: draft.change, steps: draft.steps };
            }
            // Who changed what is asked for took part in it, as who asked.
            draft.change.note_participants(&editors.accounts);
            // The acknowledgement is first, before anything that takes long.
            let is_known = lines.iter().any(|line| matches!(line, command::CommentLine::Known(_)));
            let reaction = if is_known { Reaction::Eyes } else { Reaction::Confused };
            draft.steps.push(ChangeStep::React { comment: comment.id, reaction });
            let facts = commands::Facts {
                comment,
                lock: lock.as_ref(),
                run: *run,
                edited: edited.as_ref(),
                knows_editors: editors.is_whole,
            };
            commands::follow(&mut draft, lines, &facts);
        }
        other => progress::progress(&mut draft, other),
    }
    Decision { change: draft.change, steps: draft.steps }
}
