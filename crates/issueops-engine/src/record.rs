//! The record of a change: what the pure crate knows of it, and what the shell must remember to carry it through.
//!
//! The outbox is in the record, so that a decision and what follows from it are stored in one write: a process that dies
//! after it loses nothing, and who comes next goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use runnersmith_issueops::change::{Change, ChangeKind, ChangeStep, Decision, Digest, EditedFiles, Liveness};
use runnersmith_types::{Account, RecordVersion, Timestamp};
use serde::{Deserialize, Serialize};

/// The newest format that this program knows.
pub const FORMAT: u32 = 2;
/// A step that only notifies somebody is given up after so many failures.
pub const TRIES_MAX: u32 = 5;
/// While so many steps wait, no further comment is read.
pub const OUTBOX_MAX: usize = 60;

/// A step that is still to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Todo {
    /// Its number in this record.
    pub id: u64,
    /// What.
    pub step: ChangeStep,
    /// The run that does it; `None`: nobody yet, since it needs other rights than who decided it had.
    pub by: Option<String>,
    /// `user@host` of a run that took it and died, and since when it had it: what it left is known by that.
    #[serde(default)]
    pub left_by: Option<(String, Timestamp)>,
    /// The same of the run that has it now.
    #[serde(default)]
    pub taken: Option<(String, Timestamp)>,
    /// How often it was tried and failed.
    #[serde(default)]
    pub tries: u32,
}

/// A comment of ours, with what it should say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    /// The comment.
    pub id: u64,
    /// The hash of its text.
    pub text: Digest,
}

/// A change as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The format.
    pub format: u32,
    /// What is decided about.
    pub change: Change,
    /// What is still to be done, in order.
    pub outbox: Vec<Todo>,
    /// The number of the next one.
    pub next_todo: u64,
    /// What the request renders: by path git's hash of the content, or nothing where a file is taken away. `None`: the branch was
    /// not made yet.
    pub files: Option<BTreeMap<String, Option<String>>>,
    /// The labels that the request's runners would have, in lower case.
    #[serde(default)]
    pub labels: BTreeSet<String>,
    /// The commit that the branch was made on.
    pub base_commit: String,
    /// The branch's commit as it was last checked: our own, or one whose people and files were looked at.
    pub head: String,
    /// Commits that we made for the branch, noted before it moved; the newest of them.
    #[serde(default)]
    pub own_commits: Vec<String>,
    /// A rendering that is being put on the branch; it is there while what it renders is not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendering: Option<String>,
    /// A commit of Terraform's lock file that is being put on the branch; it is there while the record has another head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locking: Option<String>,
    /// The comment that shows the change.
    pub state_comment: Option<Posted>,
    /// Further comments that show the plan.
    pub continuations: Vec<Posted>,
    /// The stored plan's key on the record store.
    pub plan_key: Option<String>,
    /// Whether the author was notified of the pull request.
    pub is_announced: bool,
    /// Comments made or changed before this were read.
    pub comments_read: Option<Timestamp>,
    /// Terraform's outputs by name: what an apply made. Of a deletion, what its plans found: the last one may find less, when one
    /// before it was half done.
    #[serde(default)]
    pub outputs: BTreeMap<String, serde_json::Value>,
    /// The head that was applied last.
    #[serde(default)]
    pub applied_head: Option<String>,
    /// Git's hash of the lock file of provider versions that our last plan ended with. Another one that lies there is somebody else's.
    #[serde(default)]
    pub lock_file: Option<String>,
    /// It is in the history; what is here counts as nothing, and the next change takes its place.
    #[serde(default)]
    pub is_archived: bool,
}

impl Record {
    /// A change that was just asked for; its branch and pull request are made next.
    #[must_use]
    pub fn new(change: Change) -> Self {
        Self {
            format: FORMAT,
            change,
            outbox: Vec::new(),
            next_todo: 1,
            files: None,
            labels: BTreeSet::new(),
            base_commit: String::new(),
            head: String::new(),
            own_commits: Vec::new(),
            rendering: None,
            locking: None,
            state_comment: None,
            continuations: Vec::new(),
            plan_key: None,
            is_announced: false,
            comments_read: None,
            outputs: BTreeMap::new(),
            applied_head: None,
            lock_file: None,
            is_archived: false,
        }
    }

    /// Adds steps; those that a run with these rights may do are its own.
    pub fn push(&mut self, steps: Vec<ChangeStep>, run: &str, rights: Rights) {
        for step in steps {
            // What looks at the level once does not look twice.
            let is_look = matches!(step, ChangeStep::Drain { .. } | ChangeStep::ShowState);
            let waits = |todo: &Todo| todo.step == step && todo.by.as_ref().is_none_or(|by| by == run);
            if is_look && self.outbox.iter().any(waits) {
                continue;
            }
            let by = rights.may(&step).then(|| run.to_owned());
            self.outbox.push(Todo { id: self.next_todo, step, by, left_by: None, taken: None, tries: 0 });
            self.next_todo += 1;
        }
    }

    /// The branch is at a commit that is not ours: what we were about to put there does not come any more, and where it is seen later,
    /// somebody else put it there.
    pub fn has_moved_to(&mut self, head: &str) {
        head.clone_into(&mut self.head);
        (self.rendering, self.locking) = (None, None);
    }

    /// The branch is at a commit of ours with Terraform's lock file. What an admin ordered is ordered with it, as it is there now.
    pub fn has_lock_file_at(&mut self, head: &str, edited: Option<&EditedFiles>) {
        head.clone_into(&mut self.head);
        self.locking = None;
        if let Some(edited) = edited {
            self.change.ordered_files = self.change.ordered_files.map(|_| edited.digest);
            self.change.edited_files = Some(edited.clone());
        }
    }

    /// Takes what was decided by a run with these rights, with the steps that follow.
    pub fn take(&mut self, decision: Decision, run: &str, rights: Rights) {
        self.change = decision.change;
        self.push(decision.steps, run, rights);
    }

    /// Whether it is over, and nothing is left to be done for it.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.change.state.is_final() && self.outbox.is_empty()
    }

    /// Whether somebody with the right to apply must go on.
    #[must_use]
    pub fn needs_apply(&self) -> bool {
        self.change.state.is_draining() || self.outbox.iter().any(|todo| todo.by.is_none() && needs_apply(&todo.step))
    }
}

/// What a run may do: which identity it has in the cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Read, and plan. What needs more is left to another run.
    Plan,
    /// Everything.
    Apply,
}

impl Rights {
    /// Whether a run with these rights may do a step.
    #[must_use]
    pub fn may(self, step: &ChangeStep) -> bool {
        self == Self::Apply || !needs_apply(step)
    }
}

/// Whether a step changes what is in the cloud, or is the check right before that.
#[must_use]
pub fn needs_apply(step: &ChangeStep) -> bool {
    match step {
        ChangeStep::Reread { .. }
        | ChangeStep::TakeOver { .. }
        | ChangeStep::Apply { .. }
        | ChangeStep::Drain { .. }
        | ChangeStep::EndDrain => true,
        ChangeStep::React { .. }
        | ChangeStep::Say(_)
        | ChangeStep::NotifyIssue(_)
        | ChangeStep::ShowState
        | ChangeStep::Plan { .. }
        | ChangeStep::DropPlan
        | ChangeStep::Merge { .. }
        | ChangeStep::TakeLock { .. }
        | ChangeStep::ReleaseLock { .. }
        | ChangeStep::ReleaseOwnLock
        | ChangeStep::CloseIssue
        | ChangeStep::ClosePull => false,
    }
}

/// Whether a step only notifies somebody, so that it may be given up.
#[must_use]
pub fn only_notifies(step: &ChangeStep) -> bool {
    matches!(
        step,
        ChangeStep::React { .. }
            | ChangeStep::Say(_)
            | ChangeStep::NotifyIssue(_)
            | ChangeStep::CloseIssue
            | ChangeStep::ClosePull
    )
}

/// Whether a step must not be done again when the run that did it is dead: what it did is not known.
#[must_use]
pub fn is_once(step: &ChangeStep) -> bool {
    matches!(step, ChangeStep::Apply { .. })
}

/// After so long who looks at an issue is taken for gone, if nobody knows whether it goes on: a look is some calls of
/// GitHub, and takes seconds.
const LOOK_MAX: Duration = Duration::from_secs(30 * 60);

/// What an issue asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskedFor {
    /// It has no label of a request, or more than one.
    Nothing,
    /// A change of this kind.
    Change(ChangeKind),
}

/// What is known of an issue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueNote {
    /// The form of this record.
    #[serde(default)]
    pub record_version: RecordVersion<2>,
    /// The environment that it asked for when it was last read.
    pub environment: Option<String>,
    /// Our comment that says what is wrong with it, or that it is fixed.
    pub invalid: Option<Posted>,
    /// The hash of its body when it was last read.
    pub body: Option<Digest>,
    /// Who changed its text; they took part in what it asks for.
    #[serde(default)]
    pub editors: BTreeSet<Account>,
    /// The hash of a body that came too late for its change, and was answered so.
    #[serde(default)]
    pub too_late: Option<Digest>,
    /// The run that looks at it: GitHub reports a new issue twice, and one answer is enough.
    #[serde(default)]
    pub busy: Option<String>,
    /// Since when it does. Long ago, when an older program wrote this.
    #[serde(default)]
    pub busy_since: Timestamp,
    /// Something happened while it was looked at: who looks at it looks again.
    #[serde(default)]
    pub again: bool,
    /// Who is said to have changed its text. The next look puts them among `editors`: it reads who asked, who is not one of them.
    #[serde(default, rename = "told_editors")]
    pub named_editors: BTreeSet<Account>,
    /// What it asked for when it was last read; an older program did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<AskedFor>,
    /// Whether it ever asked for something else. A label that is given another name turns every issue that has it, and no issue says who
    /// did that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_turned: bool,
}

impl IssueNote {
    /// Remembers what it asks for. `own` is the kind of its open change: what it asked for, where that was not noted.
    pub fn asks_for(&mut self, asked: AskedFor, own: Option<ChangeKind>) {
        let before = self.asked.or(own.map(AskedFor::Change));
        // One that was a request, of which nobody knows what for, may have been any.
        self.has_turned |= before.map_or(self.environment.is_some(), |before| before != asked);
        self.asked = Some(asked);
    }

    /// Whether something was noted of it that no look has taken up and come to its end.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.busy.is_some() || self.again || !self.named_editors.is_empty()
    }

    /// The run that looks at it, unless it is this one.
    #[must_use]
    pub fn other(&self, me: &str) -> Option<&str> {
        self.busy.as_deref().filter(|other| *other != me)
    }

    /// Whether the look goes on that is noted, by what is known of its run.
    #[must_use]
    pub fn goes_on(&self, run: Liveness, now: Timestamp) -> bool {
        match run {
            Liveness::Alive => true,
            Liveness::Dead => false,
            Liveness::Unknown => now.since(self.busy_since) < LOOK_MAX,
        }
    }

    /// Takes the look for a run, unless another one goes on, which is informed that there is more to see. Returns whether it is taken.
    pub fn claim(&mut self, me: &str, other_goes_on: bool, editor: Option<&Account>, now: Timestamp) -> bool {
        self.named_editors.extend(editor.cloned());
        if other_goes_on {
            self.again = true;
        } else {
            (self.busy, self.busy_since, self.again) = (Some(me.to_owned()), now, false);
        }
        !other_goes_on
    }

    /// Gives the look back, if it was not taken away. Returns whether something came meanwhile. A look that failed is left to
    /// the tick.
    pub fn free(&mut self, me: &str, has_failed: bool) -> bool {
        if self.busy.as_deref() != Some(me) {
            return false;
        }
        self.busy = None;
        let again = self.again;
        self.again |= has_failed;
        again
    }

    /// Who changed its text, also those that no look has taken up; who asked may be among these.
    pub fn all_editors(&self) -> impl Iterator<Item = &Account> {
        self.editors.iter().chain(&self.named_editors)
    }
}

/// What is known of a pull request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullNote {
    /// The form of this record.
    #[serde(default)]
    pub record_version: RecordVersion<1>,
    /// The environment, as it is spelled.
    pub environment: String,
    /// Where its change is, when it is over.
    pub history: Option<String>,
}

impl PullNote {
    /// What is known of a pull request of this environment.
    #[must_use]
    pub fn new(environment: &str, history: Option<String>) -> Self {
        Self { record_version: RecordVersion::CURRENT, environment: environment.to_owned(), history }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    #[test]
    fn one_run_looks_at_an_issue_and_sees_what_others_have_noted() {
        let mut note = IssueNote::default();
        assert!(!note.waits() && note.other("a").is_none());
        assert!(note.claim("a", false, None, NOW) && note.waits());
        assert_eq!((note.other("a"), note.other("b")), (None, Some("a")));
        assert!(!note.claim("b", true, Some(&"wanda".into()), NOW), "a goes on");
        assert_eq!((note.busy.as_deref(), note.again), (Some("a"), true));
        assert!(!note.free("b", false) && note.busy.is_some(), "it is not b's to give back");
        assert!(note.free("a", false), "a looks again");
        assert!(note.claim("a", false, None, NOW) && !note.again, "what came is looked at now");
        assert!(note.named_editors.contains(&"wanda".into()), "who edited waits for a look that succeeds");
        assert!(!note.free("a", false) && note.busy.is_none());
        note.named_editors.clear();
        assert!(!note.waits());
        note.claim("a", false, None, NOW);
        assert!(
            !note.free("a", true) && note.waits(),
            "a look that failed is left to the tick, and not made again at once"
        );
        note.claim("a", false, None, NOW);
        assert!(note.claim("b", false, None, NOW), "a is over");
        assert!(!note.free("a", true) && note.busy.as_deref() == Some("b") && !note.again);
    }

    #[test]
    fn a_look_goes_on_while_its_run_does_and_half_an_hour_when_nobody_knows() {
        let note = IssueNote { busy: Some("a".into()), busy_since: NOW, ..IssueNote::default() };
        let after = |minutes: u64| NOW.plus(Duration::from_secs(minutes * 60));
        assert!(note.goes_on(Liveness::Alive, after(600)) && !note.goes_on(Liveness::Dead, NOW));
        assert!(note.goes_on(Liveness::Unknown, after(29)) && !note.goes_on(Liveness::Unknown, after(30)));
    }
}
