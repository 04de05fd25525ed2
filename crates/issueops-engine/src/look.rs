//! A look at an open change: is the pull request still open, did somebody push, was something ordered, does our comment still
//! say what we wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use runnersmith_issueops::change::{ChangeStep, Comment, Digest, Editors, LifecycleEvent};
use runnersmith_issueops::command::{self, CommentCommand, CommentLine};
use runnersmith_issueops::render::{Difference, LOCK_FILE};
use runnersmith_ports::GitHubError;
use runnersmith_ports::control::{IssueComment, IssueEditors, Pull};
use runnersmith_types::{Account, Timestamp};

use crate::base::Tree;
use crate::context::{ChangeReconciler, Work};
use crate::error::ReconcileError;
use crate::record::{OUTBOX_MAX, Record};

/// Comments are asked for from so long before the last one that was read: clocks differ, and lists lag.
const OVERLAP: Duration = Duration::from_secs(120);
/// The login that stands for a commit whose people GitHub does not know.
const UNKNOWN: &str = "(unknown)";

/// What a branch's head is.
pub(crate) struct CheckedHead {
    /// Who made the commits that are not ours.
    pub committers: BTreeSet<Account>,
    /// How its files differ from what the request renders.
    pub differences: Vec<Difference>,
}

/// Whether a pull request was merged to where it belongs. One that somebody turned to another branch has brought nothing there.
pub(crate) fn is_merged_into(pull: &Pull, default_branch: &str) -> bool {
    pull.is_merged && pull.base_branch == default_branch
}

impl ChangeReconciler {
    /// Looks at a change: its pull request, its branch, its comments. Everything that is found is an event; the events' steps
    /// are stored and not yet done.
    pub(crate) async fn look(&self, work: &Work, key: &str, pull: Option<u64>) -> Result<(), ReconcileError> {
        let Some((record, _)) = self.change_store.record(key).await? else { return Ok(()) };
        if record.change.pull == 0 || pull.is_some_and(|pull| pull != record.change.pull) {
            return Ok(());
        }
        let mut found = self.parts.control.pull(record.change.pull).await?;
        found.head = self.head_of(&record, &found).await?;
        if is_merged_into(&found, &work.base.branch) {
            if found.head != record.head && !record.change.state.is_being_done() {
                // Merged with commits that were never looked at: nothing distinguishes them from what was there before.
                self.merged_with_more(work, key, &found).await?;
            }
            self.event(work, key, &LifecycleEvent::Merged).await?;
        } else if found.is_merged {
            self.say(&format!(
                "{}: #{} was merged into {}, which is not the default branch",
                record.change.environment,
                found.number,
                found.base_branch.escape_debug()
            ));
        } else if !found.is_open {
            self.event(work, key, &LifecycleEvent::Closed).await?;
        } else if record.rendering.as_ref() == Some(&found.head) {
            self.rendered_by_a_dead_run(key, &found.head).await?;
        } else if record.locking.as_ref() == Some(&found.head) {
            self.locked_by_a_run(work, key, &record, &found.head).await?;
        } else if found.head != record.head {
            self.pushed(work, key, &record, &found).await?;
        }
        let read = self.read_comments(work, key, &found).await;
        self.check_state_comment(work, key).await?;
        read
    }

    /// Looks at a change and does what follows: also of what was seen before something could not be read.
    pub(crate) async fn look_and_advance(
        &self,
        work: &Work,
        key: &str,
        pull: Option<u64>,
    ) -> Result<(), ReconcileError> {
        let looked = self.look(work, key, pull).await;
        self.advance(work, key).await?;
        looked
    }

    /// The branch's commit. GitHub shows a pull request's head some time after its branch has moved, so the branch is asked.
    pub(crate) async fn head_of(&self, record: &Record, pull: &Pull) -> Result<String, ReconcileError> {
        if !pull.is_open || pull.is_fork {
            return Ok(pull.head.clone());
        }
        Ok(self.parts.control.branch(&record.change.branch).await?.unwrap_or_else(|| pull.head.clone()))
    }

    /// The branch was merged with commits that no look has seen.
    async fn merged_with_more(&self, work: &Work, key: &str, pull: &Pull) -> Result<(), ReconcileError> {
        let Some((record, _)) = self.change_store.record(key).await? else { return Ok(()) };
        let edited = Some(self.edited_files(work, &record, &pull.head).await?);
        let event = LifecycleEvent::Pushed { committers: [UNKNOWN.into()].into(), edited };
        let noted = self.change_store.update(key, |record| {
            record.has_moved_to(&pull.head);
            self.follow(work, record, &event);
            Some(())
        });
        noted.await.map(drop).map_err(ReconcileError::from)
    }

    /// A run put what it rendered on the branch and died before that was recorded. Nobody edited it; what it renders is not known, so
    /// that who goes on, by the issue or by the plan that waits, renders again.
    async fn rendered_by_a_dead_run(&self, key: &str, head: &str) -> Result<(), ReconcileError> {
        let noted = self.change_store.update(key, |record| {
            let is_pending = record.rendering.as_deref() == Some(head) && record.head != head;
            is_pending.then(|| head.clone_into(&mut record.head))
        });
        noted.await.map(drop).map_err(ReconcileError::from)
    }

    /// A run put Terraform's lock file on the branch, and has not recorded it yet, or died before it did. What is planned is what was
    /// there before with our own file beside it: an order of it, and who gave it, go along.
    async fn locked_by_a_run(&self, work: &Work, key: &str, record: &Record, head: &str) -> Result<(), ReconcileError> {
        let edited = match record.change.is_hand_edited {
            true => Some(self.edited_files(work, record, head).await?),
            false => None,
        };
        let noted = self.change_store.update(key, |record| {
            if record.locking.as_deref() != Some(head) || record.head == head {
                return None;
            }
            record.has_lock_file_at(head, edited.as_ref());
            Some(())
        });
        noted.await.map(drop).map_err(ReconcileError::from)
    }

    /// The branch has a commit that is not ours.
    async fn pushed(&self, work: &Work, key: &str, record: &Record, pull: &Pull) -> Result<(), ReconcileError> {
        let checked = self.check_head(work, record, &pull.head).await?;
        let edited = match checked.differences.is_empty() {
            true => None,
            false => Some(self.edited_files(work, record, &pull.head).await?),
        };
        let event = LifecycleEvent::Pushed { committers: checked.committers, edited };
        self.change_store
            .update(key, |record| {
                // Somebody else may have checked it meanwhile.
                if record.head == pull.head {
                    return None;
                }
                record.has_moved_to(&pull.head);
                self.follow(work, record, &event);
                Some(())
            })
            .await?;
        self.say(&format!("{}: somebody pushed to #{}", record.change.environment, record.change.pull));
        Ok(())
    }

    /// Checks a head: what was rendered must be there, byte for byte; the rest must be as it is where the branch began. That
    /// covers the whole repository: a branch could bring a workflow or a policy along.
    pub(crate) async fn check_head(
        &self,
        work: &Work,
        record: &Record,
        head: &str,
    ) -> Result<CheckedHead, ReconcileError> {
        let control = &self.parts.control;
        let compared = control.compare(&work.base.commit, head).await?;
        let began = control.tree(&compared.merge_base).await?;
        let tree = control.tree(head).await?;
        let mut committers = BTreeSet::new();
        let ours = self.our_commits(record);
        for commit in compared.commits.iter().filter(|commit| !ours.contains(&commit.sha)) {
            // One that came by merging the default branch is not in this list.
            committers.extend(commit.accounts.iter().map(|account| account.clone().unwrap_or_else(|| UNKNOWN.into())));
        }
        Ok(CheckedHead { committers, differences: differences(record, &began, &tree) })
    }

    /// Commits that we made: the last one is known by the record.
    fn our_commits(&self, record: &Record) -> BTreeSet<String> {
        record.own_commits.iter().cloned().chain([record.head.clone()]).collect()
    }

    /// Reads comments that were not read yet. Only those that may be orders are looked at closer. One about which something cannot be read
    /// now keeps no later one from being followed, and is read again.
    async fn read_comments(&self, work: &Work, key: &str, pull: &Pull) -> Result<(), ReconcileError> {
        let Some((record, _)) = self.change_store.record(key).await? else { return Ok(()) };
        let since = record.comments_read.map(|at| at.minus(OVERLAP));
        let comments = self.parts.control.comments(pull.number, since).await?;
        let (mut read, mut again, mut failed) = (record.comments_read, None, None);
        for comment in comments {
            let at = comment.updated_at;
            read = read.max(Some(at));
            if record.change.was_handled(comment.id) || !may_be_order(&comment) {
                continue;
            }
            let waiting = self.change_store.record(key).await?.map_or(0, |(record, _)| record.outbox.len());
            if waiting > OUTBOX_MAX {
                // The next look reads on from here, when something was done.
                return failed.map_or(Ok(()), Err);
            }
            if let Err(error) = self.order(work, key, pull, comment).await {
                again = again.map_or(Some(at), |earlier: Timestamp| Some(earlier.min(at)));
                failed = failed.or(Some(error));
            }
        }
        let read = again.map_or(read, |again| read.min(Some(again)));
        if read != record.comments_read {
            self.change_store
                .update(key, |record| {
                    record.comments_read = record.comments_read.max(read);
                    Some(())
                })
                .await?;
        }
        failed.map_or(Ok(()), Err)
    }

    async fn order(&self, work: &Work, key: &str, pull: &Pull, comment: IssueComment) -> Result<(), ReconcileError> {
        let Some((record, _)) = self.change_store.record(key).await? else { return Ok(()) };
        let actor = self.actor(work, &comment.author, comment.is_person).await?;
        let lock = self.held_lock(&record.change.environment).await?;
        let run = self.run_of(&record).await;
        // Both are asked now: an event's payload may have been lost, and names only whom it is about.
        let known = self.parts.control.is_edited(&comment).await?;
        // Who may not ask goes by the times, which differ now and then although nobody edited: the answer says to write it again.
        let is_edited = known.unwrap_or(comment.updated_at != comment.created_at);
        let lines = command::parse(&comment.body);
        let approves = |line: &CommentLine| matches!(line, CommentLine::Known(CommentCommand::Approve { .. }));
        let editors = match lines.iter().any(approves) {
            true => self.editors(&record).await?,
            false => Some(Editors::NONE),
        };
        if editors.is_none() {
            // Nobody asks for it any more; what is approved of it is answered by that.
            self.event(work, key, &LifecycleEvent::Closed).await?;
        }
        let editors = editors.unwrap_or(Editors::NONE);
        let plans = |line: &CommentLine| matches!(line, CommentLine::Known(CommentCommand::Plan { .. }));
        let edited = match record.change.is_hand_edited && lines.iter().any(plans) {
            true => Some(self.edited_files(work, &record, &record.head).await?),
            false => None,
        };
        let comment = Comment {
            id: comment.id,
            is_edited,
            body: comment.body,
            created_at: comment.created_at,
            is_new: true,
            pull: pull.number,
            is_fork: pull.is_fork,
            actor,
        };
        self.say(&format!("#{}: a comment by {}", pull.number, comment.actor.account.login.escape_debug()));
        self.event(work, key, &LifecycleEvent::Comment { comment, lock, run, editors, edited }).await?;
        Ok(())
    }

    /// Who had a part in what a change's issue asks for, as far as that may be read. `None`: GitHub does not find the issue any more.
    pub(crate) async fn editors(&self, record: &Record) -> Result<Option<Editors>, ReconcileError> {
        let issue = record.change.issue;
        match self.parts.control.editors(issue).await {
            Ok(IssueEditors { accounts, is_whole }) => {
                let is_whole = is_whole && !self.change_store.issue(issue).await?.has_turned;
                if !is_whole {
                    tracing::warn!(
                        issue,
                        "who edited, labelled or reopened the issue is not known: an approval needs two people"
                    );
                }
                Ok(Some(Editors { accounts, is_whole }))
            }
            Err(GitHubError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Anybody who may write can edit our comment; what it says is shown again.
    async fn check_state_comment(&self, work: &Work, key: &str) -> Result<(), ReconcileError> {
        let Some((record, _)) = self.change_store.record(key).await? else { return Ok(()) };
        let Some(posted) = &record.state_comment else { return Ok(()) };
        let is_pending = record.outbox.iter().any(|todo| todo.step == ChangeStep::ShowState);
        if is_pending || record.change.state.is_final() {
            return Ok(());
        }
        let found = self.parts.control.comment(posted.id).await?;
        if found.is_some_and(|found| hash_of(&found.body) == posted.text) {
            return Ok(());
        }
        let rights = self.parts.rights;
        self.change_store
            .update(key, |record| {
                record.state_comment.as_mut()?.text = Digest::of(b"altered");
                record.push(vec![ChangeStep::ShowState], work.run.name(), rights);
                Some(())
            })
            .await?;
        Ok(())
    }
}

/// The hash of a comment's text as it was sent: GitHub may give line ends back in its own way.
pub(crate) fn hash_of(body: &str) -> Digest {
    Digest::of(body.replace("\r\n", "\n").as_bytes())
}

/// Whether it is worth to ask who wrote it.
fn may_be_order(comment: &IssueComment) -> bool {
    comment.is_person && !command::parse(&comment.body).is_empty()
}

/// How a tree differs from what the record's request renders on top of the tree where its branch began.
pub(crate) fn differences(record: &Record, began: &Tree, tree: &Tree) -> Vec<Difference> {
    let empty = BTreeMap::new();
    let files = record.files.as_ref().unwrap_or(&empty);
    let folders: BTreeSet<&str> =
        files.keys().filter_map(|path| path.rsplit_once('/').map(|(folder, _)| folder)).collect();
    let is_lock_file =
        |path: &str| path.rsplit_once('/').is_some_and(|(folder, name)| name == LOCK_FILE && folders.contains(folder));
    let paths: BTreeSet<&String> = began.keys().chain(tree.keys()).chain(files.keys()).collect();
    let mut found = Vec::new();
    for path in paths {
        if is_lock_file(path) {
            continue;
        }
        let is = tree.get(path).map(|blob| (blob.sha.as_str(), blob.mode.as_str()));
        let should = match files.get(path) {
            Some(hash) => hash.as_deref().map(|hash| (hash, "100644")),
            None => began.get(path).map(|blob| (blob.sha.as_str(), blob.mode.as_str())),
        };
        if is != should {
            found.push(match (is, should) {
                (None, _) => Difference::Missing(path.clone()),
                (Some(_), None) => Difference::Extra(path.clone()),
                (Some(_), Some(_)) => Difference::Changed(path.clone()),
            });
        }
    }
    found
}
