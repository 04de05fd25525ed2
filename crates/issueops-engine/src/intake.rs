//! From an issue to a branch with a pull request.
//!
//! Looking at an issue twice does nothing twice: what it renders is compared with what was rendered, and what is said with
//! what was said.

use std::collections::{BTreeMap, BTreeSet};

use runnersmith_issueops::change::{Change, ChangeKind, Digest, Event, Liveness, State, plans_by_itself};
use runnersmith_issueops::comment::{self, invalid, pull_text, taken, valid_again};
use runnersmith_issueops::policy::EnvironmentName;
use runnersmith_issueops::render::{Files, LOCK_FILE, archive, render};
use runnersmith_issueops::request::{Kind, Known, Problem, Request, parse, validate};
use runnersmith_ports::GitHubError;
use runnersmith_ports::control::{FileChanges, Issue};

use crate::base::{BaseError, Tree, below, git_blob};
use crate::change_store::open_key;
use crate::reconciler::{ChangeReconciler, ReconcileError, Work};
use crate::record::{IssueNote, Posted, PullNote, Record};

/// How often a look tries to be the one that looks at an issue, when others come and go meanwhile.
const CLAIMS_MAX: usize = 20;
/// How often a look looks again since it was told to; what is told after that is left to the tick.
const LOOKS_MAX: usize = 5;

/// What looks at an issue have found.
#[derive(Default)]
struct Found {
    /// Keys of the changes that it concerns.
    touched: Vec<String>,
    /// Where to look on.
    goes_on: BTreeSet<String>,
}

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
    /// Looks at an issue. Returns the keys of the changes that it concerns; none when another look goes on, which is told to look
    /// once more.
    pub(crate) async fn on_issue(
        &self,
        work: &Work,
        number: u64,
        editor: Option<&str>,
    ) -> Result<Vec<String>, ReconcileError> {
        let mut found = Found::default();
        let mut looked = Ok(true);
        for _ in 0..LOOKS_MAX {
            looked = self.look_at_issue_once(work, number, editor, &mut found).await;
            if !matches!(looked, Ok(true)) {
                break;
            }
        }
        // A look that failed takes nothing back from one before it.
        for key in found.goes_on {
            self.look(work, &key, None).await?;
            self.advance(work, &key).await?;
        }
        looked.map(|_| found.touched)
    }

    /// One look. Returns whether something was told meanwhile.
    async fn look_at_issue_once(
        &self,
        work: &Work,
        number: u64,
        editor: Option<&str>,
        found: &mut Found,
    ) -> Result<bool, ReconcileError> {
        let Some(note) = self.claim_issue(work, number, editor).await? else {
            self.say(&format!("issue #{number}: another run looks at it, and is told to look again"));
            return Ok(false);
        };
        let looked = self.look_at_request(work, number, note).await;
        let freed = self.change_store.update_issue(number, |note| note.free(work.run.name(), looked.is_err())).await;
        let (touched, goes_on) = looked?;
        for key in touched {
            if !found.touched.contains(&key) {
                found.touched.push(key);
            }
        }
        found.goes_on.extend(goes_on);
        Ok(freed?.1)
    }

    /// Takes the looking at an issue for this run: GitHub tells of a new one by two events at once. `None`: another run looks
    /// at it, and is told that there is more to see.
    async fn claim_issue(
        &self,
        work: &Work,
        number: u64,
        editor: Option<&str>,
    ) -> Result<Option<IssueNote>, ReconcileError> {
        let me = work.run.name();
        for _ in 0..CLAIMS_MAX {
            let seen = self.change_store.issue(number).await?;
            let liveness = match seen.other(me) {
                Some(other) => self.parts.runs.liveness(other).await,
                None => Liveness::Dead,
            };
            let now = self.parts.clock.now();
            let claimed = self.change_store.update_issue(number, |note| {
                // Whether one that came meanwhile goes on is another question.
                let is_same = (&note.busy, note.busy_since) == (&seen.busy, seen.busy_since);
                is_same.then(|| note.claim(me, seen.goes_on(liveness, now), editor, now))
            });
            if let (note, Some(is_taken)) = claimed.await? {
                return Ok(is_taken.then_some(note));
            }
        }
        Err(ReconcileError::Internal(format!("issue #{number}: other runs look at it all the time")))
    }

    /// What an issue asks for now, up to its pull request. Returns what it concerns, and where to look on.
    async fn look_at_request(
        &self,
        work: &Work,
        number: u64,
        note: IssueNote,
    ) -> Result<(Vec<String>, Vec<String>), ReconcileError> {
        let issue = match self.parts.control.issue(number).await {
            Ok(issue) => issue,
            Err(GitHubError::NotFound { .. }) => return Ok(Default::default()),
            Err(error) => return Err(error.into()),
        };
        if issue.is_pull {
            return Ok((self.on_pull(work, number).await?.into_iter().collect(), Vec::new()));
        }
        let own = self.own_change(&note, number).await?;
        // Who changed what is asked for took part in it, as who asked; also while it is closed.
        let told = self.change_store.update_issue(number, |note| {
            let told = std::mem::take(&mut note.told_editors);
            note.editors.extend(told.into_iter().filter(|editor| !editor.eq_ignore_ascii_case(&issue.author)));
        });
        let (note, ()) = told.await?;
        let Some(kind) = Kind::of_labels(issue.labels.iter().map(String::as_str)) else {
            return Ok(Default::default());
        };
        if !issue.is_open {
            let Some(key) = own else { return Ok(Default::default()) };
            self.event(work, &key, &Event::Closed).await?;
            return Ok((vec![key.clone()], vec![key]));
        }
        let request = match self.judge_request(work, &issue, kind).await? {
            Ok(request) => request,
            Err(problems) => {
                self.refuse(&note, &issue, kind, &problems).await?;
                if let Some(key) = &own {
                    self.event(work, key, &Event::RequestInvalid).await?;
                }
                let own: Vec<String> = own.into_iter().collect();
                return Ok((own.clone(), own));
            }
        };
        if note.invalid.is_some() {
            let posted = self.post(number, note.invalid.as_ref(), &valid_again()).await?;
            self.change_store.update_issue(number, |note| note.invalid = Some(posted.clone())).await?;
        }
        let environment = request.environment().clone();
        let key = open_key(environment.as_str());
        let mut touched = Vec::new();
        // The issue asks for something else than before: what it asked for then is given up.
        if let Some(old) = own
            && let Some((record, _)) = self.change_store.record(&old).await?
            && (old != key || record.change.kind != change_kind(kind))
        {
            self.event(work, &old, &Event::Superseded).await?;
            self.advance(work, &old).await?;
            touched.push(old);
        }
        if self.change_store.record(&key).await?.is_none() {
            let branch = format!("runnersmith/{environment}-{number}");
            let change = Change::new(change_kind(kind), environment.as_str(), number, &issue.author, 0, &branch);
            // Who loses this race finds the other's change at the next look, and says so.
            self.change_store.begin(&key, &Record::new(change)).await?;
        }
        match self.change_store.record(&key).await? {
            Some((record, _)) if record.change.issue == number => {}
            _ => return Ok((touched, Vec::new())),
        }
        let body = Digest::of(issue.body.as_bytes());
        let is_in_time = self.make_branch(work, &key, &environment, &request, &note.editors).await?;
        if !is_in_time && note.too_late != Some(body) {
            // Told once, and read again when the change is over or has failed.
            let word =
                self.change_store.record(&key).await?.map_or("under way", |(record, _)| record.change.state.word());
            self.parts.control.add_comment(number, &comment::edited_too_late(word)).await?;
        }
        // Remembered only now: a look that dies before this is made again by the next tick.
        let noted = self.change_store.update_issue(number, |note| {
            note.environment = Some(environment.to_string());
            if is_in_time {
                note.body = Some(body);
            } else {
                note.too_late = Some(body);
            }
        });
        noted.await?;
        self.announce(&key, &environment).await?;
        touched.push(key.clone());
        Ok((touched, vec![key]))
    }

    /// The open change of an issue.
    async fn own_change(&self, note: &IssueNote, issue: u64) -> Result<Option<String>, ReconcileError> {
        let Some(environment) = &note.environment else { return Ok(None) };
        let key = open_key(environment);
        let record = self.change_store.record(&key).await?;
        Ok(record.filter(|(record, _)| record.change.issue == issue).map(|_| key))
    }

    /// Whether an issue that reads as it did was taken, or refused and told so.
    pub(crate) async fn is_taken(&self, note: &IssueNote, issue: u64) -> Result<bool, ReconcileError> {
        if note.environment.is_none() {
            return Ok(note.invalid.is_some());
        }
        let Some(key) = self.own_change(note, issue).await? else { return Ok(false) };
        Ok(self.change_store.record(&key).await?.is_some_and(|(record, _)| record.change.pull != 0))
    }

    async fn judge_request(
        &self,
        work: &Work,
        issue: &Issue,
        kind: Kind,
    ) -> Result<Result<Request, Vec<Problem>>, ReconcileError> {
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

    /// Says what is wrong, once: the same problems are not told twice.
    async fn refuse(
        &self,
        note: &IssueNote,
        issue: &Issue,
        kind: Kind,
        wrong: &[Problem],
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

    /// Posts a text, in place of an older one if there is one; one that says it already is left alone.
    pub(crate) async fn post(&self, issue: u64, old: Option<&Posted>, text: &str) -> Result<Posted, ReconcileError> {
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
    ) -> Result<Rendered, ReconcileError> {
        let policy = &work.base.policy;
        let files = match request {
            Request::Set(set) => {
                let files =
                    render(set, policy).map_err(|error| ReconcileError::Internal(format!("render: {error}")))?;
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

    /// Makes branch and pull request say what the request says, if they do not. `false`: it is too late for that.
    async fn make_branch(
        &self,
        work: &Work,
        key: &str,
        environment: &EnvironmentName,
        request: &Request,
        editors: &BTreeSet<String>,
    ) -> Result<bool, ReconcileError> {
        let took_part = |record: &mut Record| record.change.committers.extend(editors.iter().cloned());
        let taken = self.change_store.update(key, |record| {
            took_part(record);
            Some(())
        });
        let Some((record, ())) = taken.await? else { return Ok(true) };
        let rendered = self.rendered(work, environment, request).await?;
        let hashes = rendered.hashes();
        let is_same = record.files.as_ref() == Some(&hashes);
        // What was refused in between, and is asked for again, is planned again.
        let is_dropped = record.change.state == State::Requested && record.change.plans_posted > 0;
        if is_same && record.change.pull != 0 && !is_dropped {
            return Ok(true);
        }
        // A branch that is moved now would be another one than what is being applied.
        if record.change.state.is_under_way() {
            return Ok(false);
        }
        let changes = rendered.changes(&work.base.tree);
        let text = pull_text(record.change.kind, environment, record.change.issue);
        let commit = self.put_on_branch(work, &record.change.branch, &text.title, &changes).await?;
        let control = &self.parts.control;
        let pull = match record.change.pull {
            0 => control.open_pull(&text.title, &text.body, &record.change.branch, &work.base.branch).await?,
            pull => pull,
        };
        self.change_store.note_pull(pull, &PullNote { environment: environment.to_string(), history: None }).await?;
        let labels: BTreeSet<String> = match request {
            Request::Set(set) => set.labels().iter().map(|label| label.as_str().to_lowercase()).collect(),
            Request::Delete(_) => BTreeSet::new(),
        };
        let author = self.actor(work, &record.change.author, true).await?;
        let is_person = !record.change.author.ends_with("[bot]");
        let author = runnersmith_issueops::change::Actor { is_person, ..author };
        let rules = &work.base.policy.approval;
        self.change_store
            .update(key, |record| {
                record.change.pull = pull;
                record.files = Some(hashes.clone());
                record.labels.clone_from(&labels);
                record.base_commit.clone_from(&work.base.commit);
                record.head.clone_from(&commit);
                record.own_commits = vec![commit.clone()];
                let by_itself = plans_by_itself(&author, &record.change, rules);
                let event = if by_itself { Event::Rendered } else { Event::RenderedOnly };
                self.follow(work, record, &event);
                Some(())
            })
            .await?;
        self.say(&format!("{environment}: rendered to #{pull}"));
        Ok(true)
    }

    /// One commit on top of the default branch, on the change's branch; what was there before is not kept.
    pub(crate) async fn put_on_branch(
        &self,
        work: &Work,
        branch: &str,
        title: &str,
        changes: &FileChanges,
    ) -> Result<String, ReconcileError> {
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
    async fn announce(&self, key: &str, environment: &EnvironmentName) -> Result<(), ReconcileError> {
        let Some((record, _)) = self.change_store.record(key).await? else { return Ok(()) };
        if record.is_announced || record.change.pull == 0 {
            return Ok(());
        }
        self.parts.control.add_comment(record.change.issue, &taken(environment, record.change.pull)).await?;
        self.change_store
            .update(key, |record| {
                record.is_announced = true;
                Some(())
            })
            .await?;
        Ok(())
    }

    /// Renders the request again by the policy of now, on the default branch of now, when nobody edited its files by hand.
    /// `Err`: what happened to the issue, so that it cannot be handled any more.
    pub(crate) async fn render_again(
        &self,
        work: &Work,
        key: &str,
        record: &Record,
    ) -> Result<Result<Record, Event>, ReconcileError> {
        let issue = match self.parts.control.issue(record.change.issue).await {
            Ok(issue) => issue,
            // Somebody deleted it: nobody asks for the change any more.
            Err(GitHubError::NotFound { .. }) => return Ok(Err(Event::Closed)),
            Err(error) => return Err(error.into()),
        };
        let kind = match record.change.kind {
            ChangeKind::Set => Kind::Set,
            ChangeKind::Delete => Kind::Delete,
        };
        let request = match self.judge_request(work, &issue, kind).await? {
            Ok(request) => request,
            Err(problems) => {
                let note = self.change_store.issue(issue.number).await?;
                self.refuse(&note, &issue, kind, &problems).await?;
                return Ok(Err(Event::RequestInvalid));
            }
        };
        let environment = environment_of(record)?;
        let rendered = self.rendered(work, &environment, &request).await?;
        let hashes = rendered.hashes();
        if record.files.as_ref() == Some(&hashes) && record.base_commit == work.base.commit {
            return Ok(Ok(record.clone()));
        }
        let mut changes = rendered.changes(&work.base.tree);
        // Terraform's lock file was committed by us, and is kept.
        let lock_file = format!("{}/{LOCK_FILE}", work.base.policy.environment_folder(&environment));
        let tree = self.parts.control.tree(&record.head).await?;
        if let (ChangeKind::Set, Some(blob)) = (record.change.kind, tree.get(&lock_file)) {
            changes.insert(lock_file, Some(self.reader.blob(&blob.sha).await?.as_ref().clone()));
        }
        let title = pull_text(record.change.kind, &environment, record.change.issue).title;
        let commit = self.put_on_branch(work, &record.change.branch, &title, &changes).await?;
        let updated = self.change_store.update(key, |record| {
            record.files = Some(hashes.clone());
            record.base_commit.clone_from(&work.base.commit);
            record.head.clone_from(&commit);
            record.own_commits = vec![commit.clone()];
            Some(())
        });
        // A change that is gone meanwhile takes no event.
        Ok(updated.await?.map(|(record, ())| record).ok_or(Event::RequestInvalid))
    }

    /// Files below an environment's folder as a commit has them, for a workspace.
    pub(crate) async fn folder_at(
        &self,
        tree: &Tree,
        folder: &str,
    ) -> Result<BTreeMap<String, Vec<u8>>, ReconcileError> {
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
pub(crate) fn environment_of(record: &Record) -> Result<EnvironmentName, ReconcileError> {
    EnvironmentName::parse(&record.change.environment)
        .map_err(|error| ReconcileError::Internal(format!("the record of a change: {error}")))
}
