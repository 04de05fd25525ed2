//! From an issue to a branch with a pull request.
//!
//! Looking at an issue twice does nothing twice: what it renders is compared with what was rendered, and what is said with
//! what was said.

use std::collections::{BTreeMap, BTreeSet};

use runnersmith_issueops::change::{Change, ChangeKind, Digest, Event, State, decide, plans_by_itself};
use runnersmith_issueops::comment::{self, invalid, pull_text, taken, valid_again};
use runnersmith_issueops::policy::EnvironmentName;
use runnersmith_issueops::render::{Files, LOCK_FILE, archive, render};
use runnersmith_issueops::request::{Kind, Known, Problem, Request, parse, validate};
use runnersmith_ports::GitHubError;
use runnersmith_ports::control::{FileChanges, Issue};

use crate::base::{BaseError, below, git_blob};
use crate::book::open_key;
use crate::desk::{Desk, DeskError, Work};
use crate::record::{IssueNote, Posted, PullNote, Record};

/// What a request makes of the control repository.
struct Rendered {
    /// Content by path; `None`: taken away.
    files: BTreeMap<String, Option<String>>,
}

impl Rendered {
    fn hashes(&self) -> BTreeMap<String, Option<String>> {
        self.files.iter().map(|(path, text)| (path.clone(), text.as_ref().map(|t| git_blob(t.as_bytes())))).collect()
    }
}

/// A branch that is moved now would be another one than what is being applied.
fn is_under_way(state: &State) -> bool {
    match state {
        State::Checking(..)
        | State::Draining { .. }
        | State::Applying { .. }
        | State::Applied { .. }
        | State::NotMerged { .. }
        | State::Interrupted { .. } => true,
        State::Requested
        | State::HandEdited
        | State::Planning
        | State::Planned(_)
        | State::Expired
        | State::Done
        | State::Failed(_)
        | State::Cancelled => false,
    }
}

impl Desk {
    /// Looks at an issue. Answers the keys of the changes that it concerns.
    pub(crate) async fn on_issue(
        &self,
        work: &Work,
        number: u64,
        editor: Option<&str>,
    ) -> Result<Vec<String>, DeskError> {
        let issue = match self.parts.control.issue(number).await {
            Ok(issue) => issue,
            Err(GitHubError::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        if issue.is_pull {
            return Ok(self.on_pull(work, number).await?.into_iter().collect());
        }
        let mut note = self.book.issue(number).await?;
        let own = self.own_change(&note, number).await?;
        let Some(kind) = Kind::of_labels(issue.labels.iter().map(String::as_str)) else { return Ok(Vec::new()) };
        if !issue.is_open {
            let Some(key) = own else { return Ok(Vec::new()) };
            self.event(work, &key, &Event::Closed).await?;
            self.advance(work, &key).await?;
            return Ok(vec![key]);
        }
        let request = match self.judge_request(work, &issue, kind).await? {
            Ok(request) => request,
            Err(problems) => {
                self.refuse(&mut note, &issue, kind, &problems).await?;
                if let Some(key) = &own {
                    self.event(work, key, &Event::RequestInvalid).await?;
                    self.advance(work, key).await?;
                }
                return Ok(own.into_iter().collect());
            }
        };
        if note.invalid.is_some() {
            self.post_invalid(&mut note, number, &valid_again()).await?;
        }
        let environment = request.environment().clone();
        let key = open_key(environment.as_str());
        let mut touched = Vec::new();
        // The issue asks for something else than before: what it asked for then is given up.
        if let Some(old) = own
            && let Some((record, _)) = self.book.record(&old).await?
            && (old != key || record.change.kind != change_kind(kind))
        {
            self.event(work, &old, &Event::Superseded).await?;
            self.advance(work, &old).await?;
            touched.push(old);
        }
        if self.book.record(&key).await?.is_none() {
            let branch = format!("runnersmith/{environment}");
            let change = Change::new(change_kind(kind), environment.as_str(), number, &issue.author, 0, &branch);
            // Who loses this race finds the other's change at the next look, and says so.
            self.book.begin(&key, &Record::new(change)).await?;
        }
        match self.book.record(&key).await? {
            Some((record, _)) if record.change.issue == number => {}
            _ => return Ok(touched),
        }
        // Remembered only now: a look that dies before this is made again by the next tick.
        self.make_branch(work, &key, &environment, &request, editor).await?;
        note.environment = Some(environment.to_string());
        note.body = Some(Digest::of(issue.body.as_bytes()));
        self.book.note_issue(number, &note).await?;
        self.announce(&key, &environment).await?;
        self.look(work, &key, None).await?;
        self.advance(work, &key).await?;
        touched.push(key);
        Ok(touched)
    }

    /// The open change of an issue.
    async fn own_change(&self, note: &IssueNote, issue: u64) -> Result<Option<String>, DeskError> {
        let Some(environment) = &note.environment else { return Ok(None) };
        let key = open_key(environment);
        let record = self.book.record(&key).await?;
        Ok(record.filter(|(record, _)| record.change.issue == issue).map(|_| key))
    }

    /// Whether an issue that reads as it did was taken, or refused and told so.
    pub(crate) async fn is_taken(&self, note: &IssueNote, issue: u64) -> Result<bool, DeskError> {
        if note.environment.is_none() {
            return Ok(note.invalid.is_some());
        }
        let Some(key) = self.own_change(note, issue).await? else { return Ok(false) };
        Ok(self.book.record(&key).await?.is_some_and(|(record, _)| record.change.pull != 0))
    }

    async fn judge_request(
        &self,
        work: &Work,
        issue: &Issue,
        kind: Kind,
    ) -> Result<Result<Request, Vec<Problem>>, DeskError> {
        let given = match parse(&issue.body, kind) {
            Ok(given) => given,
            Err(refused) => return Ok(Err(refused.0)),
        };
        let (open, fleets) = (self.book.open().await?, work.base.fleets(&self.reader).await?);
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

    /// Says what is wrong, once: the same problems are not told twice.
    async fn refuse(
        &self,
        note: &mut IssueNote,
        issue: &Issue,
        kind: Kind,
        problems: &[Problem],
    ) -> Result<(), DeskError> {
        self.say(&format!("issue #{}: {} problem(s); nothing is created", issue.number, problems.len()));
        note.body = Some(Digest::of(issue.body.as_bytes()));
        self.post_invalid(note, issue.number, &invalid(problems, kind)).await?;
        self.book.note_issue(issue.number, note).await?;
        Ok(())
    }

    async fn post_invalid(&self, note: &mut IssueNote, issue: u64, text: &str) -> Result<(), DeskError> {
        let posted = self.post(issue, note.invalid.as_ref(), text).await?;
        note.invalid = Some(posted);
        Ok(())
    }

    /// Posts a text, in place of an older one if there is one; one that says it already is left alone.
    pub(crate) async fn post(&self, issue: u64, old: Option<&Posted>, text: &str) -> Result<Posted, DeskError> {
        let hash = Digest::of(text.as_bytes());
        if let Some(old) = old {
            if old.text == hash {
                return Ok(old.clone());
            }
            match self.parts.control.edit_comment(old.id, text).await {
                Ok(()) => return Ok(Posted { id: old.id, text: hash }),
                // Somebody deleted it.
                Err(GitHubError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Posted { id: self.parts.control.add_comment(issue, text).await?, text: hash })
    }

    async fn rendered(
        &self,
        work: &Work,
        environment: &EnvironmentName,
        request: &Request,
    ) -> Result<Rendered, DeskError> {
        let policy = &work.base.policy;
        let files = match request {
            Request::Set(set) => {
                let files = render(set, policy).map_err(|error| DeskError::Internal(format!("render: {error}")))?;
                files.into_iter().map(|(path, text)| (path, Some(text))).collect()
            }
            Request::Delete(_) => {
                let folder = policy.environment_folder(environment);
                let there: Files = self.reader.folder(&work.base.tree, &folder).await?;
                let gone = there.keys().map(|path| (path.clone(), None)).collect::<BTreeMap<_, _>>();
                let moved = archive(&there, environment, policy);
                moved.into_iter().map(|(path, text)| (path, Some(text))).chain(gone).collect()
            }
        };
        Ok(Rendered { files })
    }

    /// Makes branch and pull request say what the request says, if they do not.
    async fn make_branch(
        &self,
        work: &Work,
        key: &str,
        environment: &EnvironmentName,
        request: &Request,
        editor: Option<&str>,
    ) -> Result<(), DeskError> {
        let Some((record, _)) = self.book.record(key).await? else { return Ok(()) };
        let rendered = self.rendered(work, environment, request).await?;
        let hashes = rendered.hashes();
        let is_same = record.files.as_ref() == Some(&hashes);
        if is_same && record.change.pull != 0 {
            return Ok(());
        }
        if is_under_way(&record.change.state) {
            let text = comment::edited_too_late(record.change.state.word());
            self.parts.control.add_comment(record.change.issue, &text).await?;
            return Ok(());
        }
        let changes: FileChanges = rendered
            .files
            .iter()
            .filter(|(path, text)| text.is_some() || work.base.tree.contains_key(*path))
            .map(|(path, text)| (path.clone(), text.as_ref().map(|text| text.clone().into_bytes())))
            .collect();
        let text = pull_text(record.change.kind, environment, record.change.issue);
        let commit = self.put_on_branch(work, &record.change.branch, &text.title, &changes).await?;
        let control = &self.parts.control;
        let pull = match record.change.pull {
            0 => control.open_pull(&text.title, &text.body, &record.change.branch, &work.base.branch).await?,
            pull => pull,
        };
        self.book.note_pull(pull, &PullNote { environment: environment.to_string(), history: None }).await?;
        let labels: BTreeSet<String> = match request {
            Request::Set(set) => set.labels().iter().map(|label| label.as_str().to_lowercase()).collect(),
            Request::Delete(_) => BTreeSet::new(),
        };
        let author = self.actor(work, &record.change.author, true).await?;
        let is_person = !record.change.author.ends_with("[bot]");
        let author = runnersmith_issueops::change::Actor { is_person, ..author };
        let (now, rules) = (self.parts.clock.now(), &work.base.policy.approval);
        self.book
            .update(key, |record| {
                record.change.pull = pull;
                record.files = Some(hashes.clone());
                record.labels.clone_from(&labels);
                record.base_commit.clone_from(&work.base.commit);
                record.head.clone_from(&commit);
                record.own_commits = vec![commit.clone()];
                // Who changed what is asked for took part in it, as who asked.
                record.change.committers.extend(
                    editor.filter(|editor| !editor.eq_ignore_ascii_case(&record.change.author)).map(str::to_owned),
                );
                let by_itself = plans_by_itself(&author, &record.change, rules);
                let event = if by_itself { Event::Rendered } else { Event::RenderedOnly };
                let decision = decide(&record.change, &event, rules, now);
                record.change = decision.change;
                record.push(decision.steps, work.run.name(), self.parts.rights);
                Some(())
            })
            .await?;
        self.say(&format!("{environment}: rendered to #{pull}"));
        Ok(())
    }

    /// One commit on top of the default branch, on the change's branch; what was there before is not kept.
    pub(crate) async fn put_on_branch(
        &self,
        work: &Work,
        branch: &str,
        title: &str,
        changes: &FileChanges,
    ) -> Result<String, DeskError> {
        let control = &self.parts.control;
        let commit = control.commit(&work.base.commit, title, changes).await?;
        match control.branch(branch).await? {
            None => match control.create_branch(branch, &commit).await {
                Ok(()) => {}
                Err(GitHubError::Conflict { .. }) => control.move_branch(branch, &commit, true).await?,
                Err(error) => return Err(error.into()),
            },
            Some(_) => control.move_branch(branch, &commit, true).await?,
        }
        Ok(commit)
    }

    /// Tells who asked where the plan is.
    async fn announce(&self, key: &str, environment: &EnvironmentName) -> Result<(), DeskError> {
        let Some((record, _)) = self.book.record(key).await? else { return Ok(()) };
        if record.is_announced || record.change.pull == 0 {
            return Ok(());
        }
        self.parts.control.add_comment(record.change.issue, &taken(environment, record.change.pull)).await?;
        self.book
            .update(key, |record| {
                record.is_announced = true;
                Some(())
            })
            .await?;
        Ok(())
    }

    /// Puts the request's files on the default branch as it is now, when nobody edited them by hand.
    pub(crate) async fn rebase(&self, work: &Work, key: &str, record: &Record) -> Result<Option<Record>, DeskError> {
        let Some(files) = &record.files else { return Ok(None) };
        let tree = self.parts.control.tree(&record.head).await?;
        let mut changes = FileChanges::new();
        for (path, hash) in files {
            match hash {
                Some(hash) => {
                    changes.insert(path.clone(), Some(self.reader.blob(hash).await?.as_ref().clone()));
                }
                None if work.base.tree.contains_key(path) => {
                    changes.insert(path.clone(), None);
                }
                None => {}
            }
        }
        // Terraform's lock file was committed by us, and is kept.
        let lock_files: BTreeSet<String> = files
            .keys()
            .filter_map(|path| path.rsplit_once('/').map(|(folder, _)| format!("{folder}/{LOCK_FILE}")))
            .filter(|path| !files.contains_key(path))
            .collect();
        for path in lock_files {
            if let Some(blob) = tree.get(&path) {
                changes.insert(path, Some(self.reader.blob(&blob.sha).await?.as_ref().clone()));
            }
        }
        let environment = environment_of(record)?;
        let title = pull_text(record.change.kind, &environment, record.change.issue).title;
        let commit = self.put_on_branch(work, &record.change.branch, &title, &changes).await?;
        let updated = self.book.update(key, |record| {
            record.base_commit.clone_from(&work.base.commit);
            record.head.clone_from(&commit);
            record.own_commits = vec![commit.clone()];
            Some(())
        });
        Ok(updated.await?.map(|(record, ())| record))
    }

    /// Files below an environment's folder as a commit has them, for a workspace.
    pub(crate) async fn folder_at(
        &self,
        tree: &crate::base::Tree,
        folder: &str,
    ) -> Result<BTreeMap<String, Vec<u8>>, DeskError> {
        if below(tree, folder).next().is_none() {
            let why = "has no files; hint: the branch was changed by hand".to_owned();
            return Err(BaseError::File { path: folder.to_owned(), why }.into());
        }
        Ok(self.reader.contents(tree, folder).await?)
    }
}

/// The kind of change that a request asks for.
const fn change_kind(kind: Kind) -> ChangeKind {
    match kind {
        Kind::Set => ChangeKind::Set,
        Kind::Delete => ChangeKind::Delete,
    }
}

/// The environment of a record, as a name again.
pub(crate) fn environment_of(record: &Record) -> Result<EnvironmentName, DeskError> {
    EnvironmentName::parse(&record.change.environment)
        .map_err(|error| DeskError::Internal(format!("the record of a change: {error}")))
}
