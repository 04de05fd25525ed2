//! From an issue to a branch with a pull request.
//!
//! Looking at an issue twice does nothing twice: what it renders is compared with what was rendered, and what is said with
//! what was said.

use std::collections::BTreeSet;

use runnersmith_issueops::change::{Change, ChangeKind, Digest, LifecycleEvent, Liveness};
use runnersmith_issueops::comment::{self, taken, valid_again};
use runnersmith_issueops::policy::EnvironmentName;
use runnersmith_issueops::request::{Request, RequestKind};
use runnersmith_ports::GitHubError;
use runnersmith_ports::control::Issue;
use runnersmith_types::Account;

use crate::change_store::open_key;
use crate::context::{ChangeReconciler, Work};
use crate::error::ReconcileError;
use crate::record::{AskedFor, IssueNote, Record};

/// How often a look tries to be the one that looks at an issue, when others come and go meanwhile.
const CLAIMS_MAX: usize = 20;
/// How often a look looks again since it was asked to; what comes after that is left to the tick.
const LOOKS_MAX: usize = 5;

/// What looks at an issue have found.
#[derive(Default)]
struct Found {
    /// Keys of the changes that it concerns.
    touched: Vec<String>,
    /// Where to look on.
    goes_on: BTreeSet<String>,
}

impl ChangeReconciler {
    /// Looks at an issue. Returns the keys of the changes that it concerns; none when another look goes on, which is asked to look
    /// once more.
    pub(crate) async fn on_issue(
        &self,
        work: &Work,
        number: u64,
        editor: Option<&Account>,
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
            self.look_and_advance(work, &key, None).await?;
        }
        looked.map(|_| found.touched)
    }

    /// Looks at whatever change a pull request is. Returns its key.
    pub(crate) async fn on_pull(&self, work: &Work, number: u64) -> Result<Option<String>, ReconcileError> {
        let Some(note) = self.change_store.pull(number).await? else { return Ok(None) };
        let open = open_key(&note.environment);
        let is_open = self.change_store.record(&open).await?.is_some_and(|(record, _)| record.change.pull == number);
        let key = match note.history {
            Some(history) if !is_open => history,
            _ => open,
        };
        self.look_and_advance(work, &key, Some(number)).await?;
        Ok(Some(key))
    }

    /// One look. Returns whether something came meanwhile.
    async fn look_at_issue_once(
        &self,
        work: &Work,
        number: u64,
        editor: Option<&Account>,
        found: &mut Found,
    ) -> Result<bool, ReconcileError> {
        let Some(note) = self.claim_issue(work, number, editor).await? else {
            self.say(&format!("issue #{number}: another run looks at it, and is asked to look again"));
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

    /// Takes the looking at an issue for this run: GitHub reports a new one by two events at once. `None`: another run looks
    /// at it, and is informed that there is more to see.
    async fn claim_issue(
        &self,
        work: &Work,
        number: u64,
        editor: Option<&Account>,
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
            // Somebody deleted it, or took it to another repository: nobody asks for its change any more.
            Err(GitHubError::NotFound { .. }) => {
                let Some(key) = self.own_change(&note, number).await? else { return Ok(Default::default()) };
                self.event(work, &key, &LifecycleEvent::Closed).await?;
                return Ok((vec![key.clone()], vec![key]));
            }
            Err(error) => return Err(error.into()),
        };
        if issue.is_pull {
            return Ok((self.on_pull(work, number).await?.into_iter().collect(), Vec::new()));
        }
        let own = self.own_change(&note, number).await?;
        let kind = RequestKind::of_labels(issue.labels.iter().map(String::as_str));
        let own_kind = match &own {
            Some(key) => self.change_store.record(key).await?.map(|(record, _)| record.change.kind),
            None => None,
        };
        let asked = kind.map_or(AskedFor::Nothing, |kind| AskedFor::Change(change_kind(kind)));
        // Who changed what is asked for took part in it, as who asked; also while it is closed.
        let noted = self.change_store.update_issue(number, |note| {
            let named = std::mem::take(&mut note.named_editors);
            note.editors.extend(named.into_iter().filter(|editor| !editor.is(&issue.author)));
            note.asks_for(asked, own_kind);
        });
        let (note, ()) = noted.await?;
        let Some(kind) = kind else { return Ok(Default::default()) };
        if !issue.is_open {
            let Some(key) = own else { return Ok(Default::default()) };
            self.event(work, &key, &LifecycleEvent::Closed).await?;
            return Ok((vec![key.clone()], vec![key]));
        }
        let request = match self.check_request(work, &issue, kind).await? {
            Ok(request) => request,
            Err(problems) => {
                self.refuse(&note, &issue, kind, &problems).await?;
                if let Some(key) = &own {
                    self.event(work, key, &LifecycleEvent::RequestInvalid).await?;
                }
                let own: Vec<String> = own.into_iter().collect();
                return Ok((own.clone(), own));
            }
        };
        if note.invalid.is_some() {
            let posted = self.post(number, note.invalid.as_ref(), &valid_again()).await?;
            self.change_store.update_issue(number, |note| note.invalid = Some(posted.clone())).await?;
        }
        let key = open_key(request.environment().as_str());
        let mut touched: Vec<String> = self.supersede(work, own, &key, kind).await?.into_iter().collect();
        if !self.begin_change(&key, &issue, request.environment(), kind).await? {
            return Ok((touched, Vec::new()));
        }
        self.bring_to_branch(work, &key, &issue, &request, &note).await?;
        touched.push(key.clone());
        Ok((touched, vec![key]))
    }

    /// Gives up what the issue asked for before, if it asks for something else now. Returns the key of that change.
    async fn supersede(
        &self,
        work: &Work,
        own: Option<String>,
        key: &str,
        kind: RequestKind,
    ) -> Result<Option<String>, ReconcileError> {
        let Some(old) = own else { return Ok(None) };
        let Some((record, _)) = self.change_store.record(&old).await? else { return Ok(None) };
        if old == key && record.change.kind == change_kind(kind) {
            return Ok(None);
        }
        self.event(work, &old, &LifecycleEvent::Superseded).await?;
        self.advance(work, &old).await?;
        Ok(Some(old))
    }

    /// Begins the change of an issue if its environment has none. Returns whether the open change is this issue's.
    async fn begin_change(
        &self,
        key: &str,
        issue: &Issue,
        environment: &EnvironmentName,
        kind: RequestKind,
    ) -> Result<bool, ReconcileError> {
        if self.change_store.record(key).await?.is_none() {
            let branch = format!("runnersmith/{environment}-{}", issue.number);
            let change =
                Change::new(change_kind(kind), environment.as_str(), issue.number, issue.author.clone(), 0, &branch);
            // Who loses this race finds the other's change at the next look, and says so.
            self.change_store.begin(key, &Record::new(change)).await?;
        }
        Ok(self.change_store.record(key).await?.is_some_and(|(record, _)| record.change.issue == issue.number))
    }

    /// Makes the branch say what the issue asks for, and remembers and announces that.
    async fn bring_to_branch(
        &self,
        work: &Work,
        key: &str,
        issue: &Issue,
        request: &Request,
        note: &IssueNote,
    ) -> Result<(), ReconcileError> {
        let (number, environment) = (issue.number, request.environment());
        let body = Digest::of(issue.body.as_bytes());
        let too_late = self.make_branch(work, key, environment, request, (issue, note)).await?;
        if let Some(word) = too_late
            && note.too_late != Some(body)
        {
            // Said once, and read again when the change is over or has failed.
            self.parts.control.add_comment(number, &comment::edited_too_late(word)).await?;
        }
        // Remembered only now: a look that dies before this is made again by the next tick.
        let noted = self.change_store.update_issue(number, |note| {
            note.environment = Some(environment.to_string());
            match too_late {
                None => note.body = Some(body),
                Some(_) => note.too_late = Some(body),
            }
        });
        noted.await?;
        self.announce(key, environment).await
    }

    /// The open change of an issue.
    async fn own_change(&self, note: &IssueNote, issue: u64) -> Result<Option<String>, ReconcileError> {
        let Some(environment) = &note.environment else { return Ok(None) };
        let key = open_key(environment);
        let record = self.change_store.record(&key).await?;
        Ok(record.filter(|(record, _)| record.change.issue == issue).map(|_| key))
    }

    /// Whether an issue that reads as it did was taken, or refused with an answer.
    pub(crate) async fn is_taken(&self, note: &IssueNote, issue: u64) -> Result<bool, ReconcileError> {
        if note.environment.is_none() {
            return Ok(note.invalid.is_some());
        }
        let Some(key) = self.own_change(note, issue).await? else { return Ok(false) };
        Ok(self.change_store.record(&key).await?.is_some_and(|(record, _)| record.change.pull != 0))
    }

    /// Notifies who asked where the plan is.
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
}

/// The kind of change that a request asks for.
pub(crate) const fn change_kind(kind: RequestKind) -> ChangeKind {
    match kind {
        RequestKind::Set => ChangeKind::Set,
        RequestKind::Delete => ChangeKind::Delete,
    }
}
