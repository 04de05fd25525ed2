//! The branch of a change: what its request renders, by the policy of now, as one commit with a pull request.

use std::collections::{BTreeMap, BTreeSet};

use runnersmith_issueops::change::{Actor, ChangeKind, Digest, LifecycleEvent, State, plans_by_itself};
use runnersmith_issueops::comment::{invalid, pull_text};
use runnersmith_issueops::policy::EnvironmentName;
use runnersmith_issueops::render::{LOCK_FILE, RenderedFiles, archive, render};
use runnersmith_issueops::request::{Known, Request, RequestKind, RequestProblem, parse, validate};
use runnersmith_ports::GitHubError;
use runnersmith_ports::control::{FileChanges, Issue};
use runnersmith_types::Label;

use crate::base::{Tree, git_blob};
use crate::context::{ChangeReconciler, Work, environment_of};
use crate::error::ReconcileError;
use crate::record::{IssueNote, PullNote, Record};

/// The most commits of ours that a record remembers: a branch has a few.
const OWN_COMMITS_MAX: usize = 50;

/// What a request makes of the control repository.
struct Rendered {
    /// Content by path; `None`: taken away.
    files: BTreeMap<String, Option<String>>,
}

impl Rendered {
    fn hashes(&self) -> BTreeMap<String, Option<String>> {
        self.files.iter().map(|(path, text)| (path.clone(), text.as_ref().map(|t| git_blob(t.as_bytes())))).collect()
    }

    /// As a commit on top of a tree; what is not there is not taken away.
    fn changes(&self, tree: &Tree) -> FileChanges {
        let is_one = |(path, text): &(&String, &Option<String>)| text.is_some() || tree.contains_key(*path);
        let bytes = |text: &Option<String>| text.as_ref().map(|text| text.clone().into_bytes());
        self.files.iter().filter(is_one).map(|(path, text)| (path.clone(), bytes(text))).collect()
    }
}

impl ChangeReconciler {
    pub(crate) async fn check_request(
        &self,
        work: &Work,
        issue: &Issue,
        kind: RequestKind,
    ) -> Result<Result<Request, Vec<RequestProblem>>, ReconcileError> {
        let given = match parse(&issue.body, kind) {
            Ok(given) => given,
            Err(refused) => return Ok(Err(refused.0)),
        };
        let (open, fleets) = (self.change_store.open().await?, work.base.fleets(&self.reader).await?);
        let mut known = Known { issue: issue.number, ..Known::default() };
        for (name, fleet) in fleets {
            if let Some(fleet) = &fleet {
                known.organizations.insert(name.clone(), fleet.organization.clone());
            }
            known.environments.insert(name, fleet.map(|fleet| fleet.labels).unwrap_or_default());
        }
        for (_, record) in open {
            let change = &record.change;
            known.open_changes.insert(change.environment.clone(), change.issue);
            // Two open requests cannot take the same label either.
            if change.issue != issue.number {
                known.environments.entry(change.environment.clone()).or_default().extend(record.labels.clone());
            }
        }
        Ok(validate(&given, kind, &work.base.policy, &known).map_err(|refused| refused.0))
    }

    /// Says what is wrong, once: the same problems are not said twice.
    pub(crate) async fn refuse(
        &self,
        note: &IssueNote,
        issue: &Issue,
        kind: RequestKind,
        wrong: &[RequestProblem],
    ) -> Result<(), ReconcileError> {
        self.say(&format!("issue #{}: {} problem(s); nothing is created", issue.number, wrong.len()));
        let posted = self.post(issue.number, note.invalid.as_ref(), &invalid(wrong, kind)).await?;
        let body = Digest::of(issue.body.as_bytes());
        let noted = self.change_store.update_issue(issue.number, |note| {
            (note.body, note.invalid) = (Some(body), Some(posted.clone()));
        });
        noted.await?;
        Ok(())
    }

    async fn rendered(
        &self,
        work: &Work,
        environment: &EnvironmentName,
        request: &Request,
    ) -> Result<Rendered, ReconcileError> {
        let policy = &work.base.policy;
        let files = match request {
            Request::Set(set) => {
                let files =
                    render(set, policy).map_err(|error| ReconcileError::Internal(format!("render: {error}")))?;
                let mut files: BTreeMap<String, Option<String>> =
                    files.into_iter().map(|(path, text)| (path, Some(text))).collect();
                // What the last request rendered and this one does not, since the policy or the version is another one.
                // The last one may be a deletion, whose files are the archive's: those stay.
                let folder = format!("{}/", policy.environment_folder(environment));
                let last = self.change_store.last_done(environment.as_str()).await?.and_then(|last| last.files);
                for (path, hash) in last.into_iter().flatten().filter(|(path, _)| path.starts_with(&folder)) {
                    let is_there = work.base.tree.get(&path).is_some_and(|blob| Some(&blob.sha) == hash.as_ref());
                    if is_there && !files.contains_key(&path) {
                        files.insert(path, None);
                    }
                }
                files
            }
            Request::Delete(_) => {
                let folder = policy.environment_folder(environment);
                let there: RenderedFiles = self.reader.folder(&work.base.tree, &folder).await?;
                let gone = there.keys().map(|path| (path.clone(), None)).collect::<BTreeMap<_, _>>();
                let moved = archive(&there, environment, policy);
                moved.into_iter().map(|(path, text)| (path, Some(text))).chain(gone).collect()
            }
        };
        Ok(Rendered { files })
    }

    /// Makes branch and pull request say what the request says, if they do not. Returns how the change is when it is too late for that.
    pub(crate) async fn make_branch(
        &self,
        work: &Work,
        key: &str,
        environment: &EnvironmentName,
        request: &Request,
        (issue, note): (&Issue, &IssueNote),
    ) -> Result<Option<&'static str>, ReconcileError> {
        let took_part = |record: &mut Record| record.change.committers.extend(note.editors.iter().cloned());
        let taken = self.change_store.update(key, |record| {
            took_part(record);
            Some(())
        });
        let Some((record, ())) = taken.await? else { return Ok(None) };
        let rendered = self.rendered(work, environment, request).await?;
        let hashes = rendered.hashes();
        let is_same = record.files.as_ref() == Some(&hashes);
        // What was refused in between, and is asked for again, is planned again.
        let is_dropped = record.change.state == State::Requested && record.change.plans_posted > 0;
        // What was edited by hand is rendered again by an edit of the issue, as the comment says, whatever the edit is.
        let is_edited = note.body.is_some_and(|body| body != Digest::of(issue.body.as_bytes()));
        let is_waiting =
            matches!(record.change.state, State::HandEdited | State::Requested | State::Failed(_) | State::Expired);
        let is_wanted_again = is_edited && is_waiting && record.change.is_hand_edited;
        if is_same && record.change.pull != 0 && !is_dropped && !is_wanted_again {
            return Ok(None);
        }
        // A branch that is moved now would be another one than what is being applied.
        if record.change.state.is_under_way() {
            return Ok(Some(record.change.state.word()));
        }
        if let Some(word) = self.is_over_at_github(&record).await? {
            return Ok(Some(word).filter(|_| !is_same));
        }
        let changes = rendered.changes(&work.base.tree);
        let text = pull_text(record.change.kind, environment, record.change.issue);
        let put = self.put_on_branch(work, (key, &record.change.branch), &text.title, &changes).await?;
        // Somebody cancelled it meanwhile.
        let Some(commit) = put else { return Ok(None) };
        let control = &self.parts.control;
        let pull = match record.change.pull {
            0 => control.open_pull(&text.title, &text.body, &record.change.branch, &work.base.branch).await?,
            pull => pull,
        };
        self.change_store.note_pull(pull, &PullNote::new(environment.as_str(), None)).await?;
        let labels: BTreeSet<String> = match request {
            Request::Set(set) => set.labels().iter().map(|label| Label::from(label).as_str().to_owned()).collect(),
            Request::Delete(_) => BTreeSet::new(),
        };
        // Under the name of now: the one that was stored may be somebody else's by now.
        let author = self.actor(work, &issue.author, true).await?;
        let is_person = !record.change.author.is_bot() && !issue.author.is_bot();
        let author = Actor { account: record.change.author.clone(), is_person, ..author };
        let rules = &work.base.policy.approval;
        self.change_store
            .update(key, |record| {
                if record.change.author.is(&issue.author) {
                    // That it is a bot's may be known only now.
                    record.change.author.clone_from(&issue.author);
                }
                record.change.pull = pull;
                record.files = Some(hashes.clone());
                record.labels.clone_from(&labels);
                record.base_commit.clone_from(&work.base.commit);
                record.head.clone_from(&commit);
                record.own_commits = vec![commit.clone()];
                (record.rendering, record.locking) = (None, None);
                let by_itself = plans_by_itself(&author, &record.change, rules);
                let event = if by_itself { LifecycleEvent::Rendered } else { LifecycleEvent::RenderedOnly };
                self.follow(work, record, &event);
                Some(())
            })
            .await?;
        self.say(&format!("{environment}: rendered to #{pull}"));
        Ok(None)
    }

    /// Whether a change's pull request takes no commit any more, and how it is then. Its branch may be gone, and one that is made again, or
    /// moved, leads nowhere.
    async fn is_over_at_github(&self, record: &Record) -> Result<Option<&'static str>, ReconcileError> {
        if record.change.pull == 0 {
            return Ok(None);
        }
        let pull = self.parts.control.pull(record.change.pull).await?;
        Ok(match (pull.is_open, pull.is_merged) {
            (true, _) => None,
            (false, true) => Some("merged already"),
            (false, false) => Some("closed"),
        })
    }

    /// One commit on top of the default branch, on the change's branch; what was there before is not kept. Returns `None` when the change is
    /// gone: its branch is not made again.
    pub(crate) async fn put_on_branch(
        &self,
        work: &Work,
        (key, branch): (&str, &str),
        title: &str,
        changes: &FileChanges,
    ) -> Result<Option<String>, ReconcileError> {
        let control = &self.parts.control;
        let commit = control.commit(&work.base.commit, title, changes).await?;
        if !self.note_own_commit(key, &commit, |record| record.rendering = Some(commit.clone())).await? {
            return Ok(None);
        }
        match control.branch(branch).await? {
            None => match control.create_branch(branch, &commit).await {
                Ok(()) => {}
                Err(GitHubError::Conflict { .. }) => control.move_branch(branch, &commit, true).await?,
                Err(error) => return Err(error.into()),
            },
            Some(_) => control.move_branch(branch, &commit, true).await?,
        }
        Ok(Some(commit))
    }

    /// Remembers a commit as ours before the branch has it: GitHub says that a bot made it, and a look that comes before the record is
    /// written must not take it for somebody's. `more` is remembered in the same write. Returns whether the change is there to remember it.
    pub(crate) async fn note_own_commit(
        &self,
        key: &str,
        commit: &str,
        more: impl Fn(&mut Record) + Send + Sync,
    ) -> Result<bool, ReconcileError> {
        let noted = self.change_store.update(key, |record| {
            // One after another that the branch refuses must not pile up.
            let too_many = record.own_commits.len().saturating_sub(OWN_COMMITS_MAX - 1);
            record.own_commits.drain(..too_many);
            record.own_commits.push(commit.to_owned());
            more(record);
            Some(())
        });
        Ok(noted.await?.is_some())
    }

    /// Renders the request again by the policy of now, on the default branch of now, when nobody edited its files by hand.
    /// `Err`: what happened to the issue, so that it cannot be handled any more.
    pub(crate) async fn render_again(
        &self,
        work: &Work,
        key: &str,
        record: &Record,
    ) -> Result<Result<Record, LifecycleEvent>, ReconcileError> {
        let issue = match self.parts.control.issue(record.change.issue).await {
            Ok(issue) => issue,
            // Somebody deleted it: nobody asks for the change any more.
            Err(GitHubError::NotFound { .. }) => return Ok(Err(LifecycleEvent::Closed)),
            Err(error) => return Err(error.into()),
        };
        let kind = match record.change.kind {
            ChangeKind::Set => RequestKind::Set,
            ChangeKind::Delete => RequestKind::Delete,
        };
        let request = match self.check_request(work, &issue, kind).await? {
            Ok(request) => request,
            Err(problems) => {
                let note = self.change_store.issue(issue.number).await?;
                self.refuse(&note, &issue, kind, &problems).await?;
                return Ok(Err(LifecycleEvent::RequestInvalid));
            }
        };
        let environment = environment_of(record)?;
        let rendered = self.rendered(work, &environment, &request).await?;
        let hashes = rendered.hashes();
        if record.files.as_ref() == Some(&hashes) && record.base_commit == work.base.commit {
            return Ok(Ok(record.clone()));
        }
        let mut changes = rendered.changes(&work.base.tree);
        // Terraform's lock file is kept if it was committed by us.
        let lock_file = format!("{}/{LOCK_FILE}", work.base.policy.environment_folder(&environment));
        let tree = self.parts.control.tree(&record.head).await?;
        let own = tree.get(&lock_file).filter(|blob| record.lock_file.as_ref() == Some(&blob.sha));
        if let (ChangeKind::Set, Some(blob)) = (record.change.kind, own) {
            changes.insert(lock_file, Some(self.reader.blob(&blob.sha).await?.as_ref().clone()));
        }
        let title = pull_text(record.change.kind, &environment, record.change.issue).title;
        let put = self.put_on_branch(work, (key, &record.change.branch), &title, &changes).await?;
        let Some(commit) = put else { return Ok(Err(LifecycleEvent::RequestInvalid)) };
        let now = self.parts.clock.now();
        let updated = self.change_store.update(key, |record| {
            if record.files.as_ref() != Some(&hashes) {
                record.change.contents_changed(now);
            }
            record.files = Some(hashes.clone());
            record.base_commit.clone_from(&work.base.commit);
            record.head.clone_from(&commit);
            record.own_commits = vec![commit.clone()];
            (record.rendering, record.locking) = (None, None);
            Some(())
        });
        // A change that is gone meanwhile takes no event.
        Ok(updated.await?.map(|(record, ())| record).ok_or(LifecycleEvent::RequestInvalid))
    }
}
