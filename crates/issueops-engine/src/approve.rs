//! From an approval to an apply: everything that was approved is read again, and only what is equal is applied.

use runnersmith_issueops::change::{
    ChangeFailure, ChangeKind, ChangeStage, Digest, DigestInput, Holder, LifecycleEvent, Liveness, Reread, State,
};
use runnersmith_issueops::comment::{AppliedView, webhook_failed, webhook_left};
use runnersmith_issueops::policy::{LabelName, WebhookTarget};
use runnersmith_issueops::render::VALUES_FILE;
use runnersmith_issueops::summary::EnvironmentFleet;
use runnersmith_ports::chain;
use runnersmith_ports::control::{MergeRules, Pull};

use crate::base::Base;
use crate::change_store::{Applies, ChangeStoreError, LockNote};
use crate::compared::Workspace;
use crate::context::{ChangeReconciler, Work, environment_of};
use crate::error::ReconcileError;
use crate::locks::is_of_run;
use crate::look::{hash_of, is_merged_into};
use crate::outcome::{Done, Note, failure};
use crate::provisioner::ProvisionError;
use crate::record::Record;
use crate::stored_plan::text_key;

/// How often GitHub is asked whether a branch can be merged; it finds out when it is asked.
const MERGEABLE_TRIES: usize = 8;
/// The most required checks that are named in an answer.
const CHECKS_MAX: usize = 20;
/// Why a pull request that somebody turned to another branch is neither applied nor merged.
pub(crate) const OTHER_BASE: &str = "it would be merged into another branch than the default one";

/// What an apply needs.
struct Ready {
    workspace: Workspace,
    file: Vec<u8>,
    /// The lock's id.
    lock: String,
}

impl ChangeReconciler {
    /// Takes the environment's lock for this run, and reads everything in the digest again.
    pub(crate) async fn reread(
        &self,
        work: &Work,
        key: &str,
        record: &Record,
        digest: Digest,
    ) -> Result<Done, ReconcileError> {
        let State::Checking(plan, _) = &record.change.state else { return Ok(Done::default()) };
        if !is_checked(record, digest) {
            return Ok(Done::default());
        }
        // The look began when the job did; the branch may have moved since.
        let base = Base::read(self.parts.control.as_ref(), &self.reader).await?;
        let fresh = Work { base, run: self.parts.runs.begin() };
        let lock = self.lock_for(work, record).await?;
        let now = self.change_store.record(key).await?;
        if lock.is_none() && !now.is_some_and(|(now, _)| is_checked(&now, digest)) {
            // Given up meanwhile: what gives its lock back may have been done before this run had it.
            let is_own = |held: &LockNote| held.applies.is_none() && is_of_run(held, work.run.name());
            self.change_store.release_lock(&record.change.environment, is_own).await?;
            return Ok(Done::default());
        }
        let pull = self.pull_with_mergeability(record).await?;
        let mut at = record.clone();
        at.head = self.head_of(record, &pull).await?;
        let head = at.head.clone();
        let parts = self.parts_now(&fresh, &at, &plan.parts).await?;
        let mut committers = record.change.committers.clone();
        if head != record.head {
            committers.extend(self.check_head(&fresh, record, &head).await?.committers);
        }
        // Also those whose edit no look has taken up yet: what they wrote may be what was planned.
        let note = self.change_store.issue(record.change.issue).await?;
        let Some(editors) = self.editors(record).await? else { return Ok(Done::event(LifecycleEvent::Closed)) };
        committers.extend(note.all_editors().cloned());
        let mergeable = match merged_already(&pull, &head, &fresh.base.branch, record.change.kind) {
            true => Ok(()),
            false => {
                let rules = self.parts.control.merge_rules(&fresh.base.branch).await?;
                mergeable(&pull, &head, &fresh.base.branch, &rules).and_then(|()| allowed(&rules))
            }
        };
        let reread = Reread { parts, mergeable, lock, run: work.run.name().to_owned(), committers, editors };
        Ok(Done::event(LifecycleEvent::Reread(Box::new(reread))))
    }

    /// The pull request once GitHub knows whether it can be merged, or as it is after some tries. Between them it sleeps:
    /// GitHub finds that out only when it is asked, and reports it by no event.
    pub(crate) async fn pull_with_mergeability(&self, record: &Record) -> Result<Pull, ReconcileError> {
        let number = record.change.pull;
        let mut pull = self.parts.control.pull(number).await?;
        let head = self.head_of(record, &pull).await?;
        for _ in 1..MERGEABLE_TRIES {
            if !pull.is_open || (pull.mergeable.is_some() && pull.head == head) {
                break;
            }
            tokio::time::sleep(self.parts.merge_wait).await;
            pull = self.parts.control.pull(number).await?;
        }
        Ok(pull)
    }

    /// Everything that the digest covers, as it is now.
    async fn parts_now(&self, work: &Work, record: &Record, was: &DigestInput) -> Result<DigestInput, ReconcileError> {
        let environment = environment_of(record)?;
        let folder = work.base.policy.environment_folder(&environment);
        let tree = match record.change.kind {
            ChangeKind::Set => self.parts.control.tree(&record.head).await?,
            ChangeKind::Delete => work.base.tree.clone(),
        };
        let lock_file = self.lock_file_now(&tree, &folder).await?;
        let bundle = self.bundle(record).await?;
        let plan_file = match &bundle {
            Some(bundle) => Digest::of(&bundle.file()?),
            None => Digest::of(b""),
        };
        let state = self.state_now(&self.state_backend(work, &environment)?).await?;
        Ok(DigestInput {
            plan_file,
            head: record.head.clone(),
            base: work.base.digest(&environment),
            state_lineage: state.lineage,
            state_serial: state.serial,
            lock_file,
            terraform_version: self.provisioner_version(environment.as_str()).await?,
            runnersmith_version: self.parts.version.clone(),
            continuations: self.continuations_now(record, was).await?,
        })
    }

    /// The hashes of further comments and the text as they are now: one that says what we wrote has the hash of that.
    async fn continuations_now(&self, record: &Record, was: &DigestInput) -> Result<Vec<Digest>, ReconcileError> {
        let mut now = Vec::new();
        for posted in &record.continuations {
            let found = self.parts.control.comment(posted.id).await?;
            now.push(found.map_or_else(|| Digest::of(b""), |found| hash_of(&found.body)));
        }
        if was.continuations.len() > now.len()
            && let Some(key) = &record.plan_key
        {
            let key = text_key(key);
            let text = self.change_store.record_store().get(&key).await.map_err(ChangeStoreError::from)?;
            now.push(text.map_or_else(|| Digest::of(b""), |text| Digest::of(&text.bytes)));
        }
        Ok(now)
    }

    /// Applies exactly the stored plan.
    pub(crate) async fn apply(
        &self,
        work: &Work,
        record: &Record,
        digest: Digest,
        head: &str,
    ) -> Result<Done, ReconcileError> {
        let State::Applying { plan, approval, run } = &record.change.state else { return Ok(Done::default()) };
        if run != work.run.name() {
            // The run has not begun, or its claim would have said so: the change must not wait for it forever.
            let is_dead = self.parts.runs.liveness(run).await == Liveness::Dead;
            return Ok(if is_dead { Done::event(LifecycleEvent::RunDied) } else { Done::default() });
        }
        let stage = match record.change.kind {
            ChangeKind::Set => ChangeStage::Apply,
            ChangeKind::Delete => ChangeStage::Destroy,
        };
        if approval.digest != digest || plan.parts.digest() != digest {
            return Ok(not_applied(stage, "the plan is not the one that was approved"));
        }
        let ready = match self.ready_to_apply(work, record, &plan.parts, head).await {
            Ok(Ok(ready)) => ready,
            Ok(Err(why)) => return Ok(not_applied(stage, &why)),
            // It is not tried again behind everybody's back: what was approved may not be what is there by then.
            Err(error) => return Ok(not_applied(stage, &chain(&error))),
        };
        let environment = &record.change.environment;
        self.say(&format!("{environment}: applying {}", digest.short()));
        let applied = self.parts.provisioner.apply(&ready.workspace, &ready.file, self.parts.progress.as_ref()).await;
        // What came of it is recorded whatever comes of this: the lock is released next anyway.
        if let Err(error) = self.change_store.mark_lock(environment, &ready.lock, None).await {
            tracing::warn!(environment = %environment, error = %chain(&error), "the lock still says that an apply is under way");
        }
        match applied {
            Ok(applied) => {
                self.applied_to_fleet(record).await;
                let notes = vec![Note::Applied { head: head.to_owned(), outputs: applied.outputs }];
                Ok(Done { event: Some(LifecycleEvent::Applied), notes })
            }
            Err(error @ (ProvisionError::Stale | ProvisionError::Unable(_))) => {
                Ok(not_applied(stage, &error.to_string()))
            }
            Err(error @ ProvisionError::NotBegun) => {
                Ok(Done::event(LifecycleEvent::NotApplied(failure(stage, &error))))
            }
            Err(error) => Ok(Done::event(LifecycleEvent::ApplyFailed(failure(stage, &error)))),
        }
    }

    /// Everything that an apply needs, or why it cannot begin.
    async fn ready_to_apply(
        &self,
        work: &Work,
        record: &Record,
        parts: &DigestInput,
        head: &str,
    ) -> Result<Result<Ready, String>, ReconcileError> {
        let environment = environment_of(record)?;
        let State::Applying { plan, approval, .. } = &record.change.state else {
            return Ok(Err("it is not approved".into()));
        };
        let held = self.change_store.lock(environment.as_str()).await?;
        let held = held.filter(|held| match &held.lock.holder {
            Holder::Run { .. } => is_of_run(held, work.run.name()),
            Holder::Person(holder) => holder.is(&approval.by),
        });
        let Some(held) = held else { return Ok(Err("the environment's lock is not held any more".into())) };
        let Some(bundle) = self.bundle(record).await? else { return Ok(Err("the stored plan is gone".into())) };
        let file = bundle.file()?;
        if Digest::of(&file) != parts.plan_file {
            return Ok(Err("the stored plan is not the one that was approved".into()));
        }
        // The look began when the job did; what Terraform reads from the module must be what the plan has read.
        let base = Base::read(self.parts.control.as_ref(), &self.reader).await?;
        if base.digest(&environment) != parts.base {
            return Ok(Err("the default branch has changed in what the plan has read".into()));
        }
        let fresh = Work { base, run: self.parts.runs.begin() };
        let mut at = record.clone();
        head.clone_into(&mut at.head);
        // What somebody pushed since is of another commit.
        (at.change.is_hand_edited, at.change.ordered_files) = (plan.is_hand_edited, plan.ordered_files);
        let Some(workspace) = self.workspace(&fresh, &at).await? else {
            return Ok(Err("files are not what the request renders, and no admin ordered a plan of them".into()));
        };
        if held.applies.is_some() {
            // A run died while it applied under this same lock, which is a person's.
            self.release_left_lock(work, record, &held).await;
        }
        let applies = Applies {
            run: work.run.name().to_owned(),
            host: work.run.host().to_owned(),
            since: self.parts.clock.now(),
        };
        if !self.change_store.mark_lock(environment.as_str(), &held.lock.id, Some(&applies)).await? {
            return Ok(Err("the environment's lock is not held any more".into()));
        }
        Ok(Ok(Ready { workspace, file, lock: held.lock.id }))
    }

    /// What was destroyed is forgotten; what was made is in service, also after a deletion that failed half way. The apply is
    /// done whatever comes of this.
    async fn applied_to_fleet(&self, record: &Record) {
        let (fleet, environment) = (&self.parts.fleet, &record.change.environment);
        let notified = match record.change.kind {
            ChangeKind::Delete => fleet.forget(environment).await,
            ChangeKind::Set => fleet.end_drain(environment).await,
        };
        if let Err(error) = notified {
            tracing::warn!(environment = %environment, error = %chain(&error), "the control plane could not be notified");
        }
    }

    /// What people need to use what was applied.
    pub(crate) async fn applied_view(&self, work: &Work, record: &Record) -> Result<AppliedView, ReconcileError> {
        let text = |name: &str| record.outputs.get(name).and_then(|value| value.as_str()).map(str::to_owned);
        let mut view = AppliedView {
            webhook_endpoint: text("webhook_endpoint"),
            webhook_secret_parameter: text("webhook_secret_parameter"),
            ..AppliedView::default()
        };
        if let Some(fleet) = self.applied_fleet(work, record).await? {
            view.maximum = fleet.maximum;
            let labels = fleet.labels.iter().filter(|label| label.as_str() != "self-hosted");
            view.labels = labels.filter_map(|label| LabelName::parse(label).ok()).collect();
        }
        Ok(view)
    }

    /// The fleet of what was applied; `None` after a deletion, and where its values cannot be read.
    async fn applied_fleet(&self, work: &Work, record: &Record) -> Result<Option<EnvironmentFleet>, ReconcileError> {
        let (ChangeKind::Set, Some(head)) = (record.change.kind, &record.applied_head) else { return Ok(None) };
        let environment = environment_of(record)?;
        let tree = self.parts.control.tree(head).await?;
        let path = format!("{}/{VALUES_FILE}", work.base.policy.environment_folder(&environment));
        let text = self.reader.text(&tree, &path).await?;
        Ok(text.and_then(|text| EnvironmentFleet::of_values(&text).ok()))
    }

    /// The organisation of what was applied, as the policy spells it. Values that were edited by hand may name any.
    async fn organization_of(&self, work: &Work, record: &Record) -> Result<String, String> {
        let fleet = self.applied_fleet(work, record).await.map_err(|error| chain(&error))?;
        let named = fleet.ok_or_else(|| format!("{VALUES_FILE} cannot be read"))?.organization;
        let own = work.base.policy.organizations.iter().find(|own| own.as_str().eq_ignore_ascii_case(&named));
        own.map(ToString::to_string).ok_or_else(|| format!("the policy does not name the organisation {named:?}"))
    }

    /// Sets where GitHub sends the environment's webhooks, if the policy wants it, or removes what leads to one that is gone;
    /// returns what to say of it.
    pub(crate) async fn set_webhook(&self, work: &Work, record: &Record) -> Option<String> {
        let (webhooks, policy) = (self.parts.webhooks.as_ref()?, &work.base.policy);
        let text = |name: &str| record.outputs.get(name).and_then(|value| value.as_str());
        let endpoint = text("webhook_endpoint")?;
        let said = match record.change.kind {
            ChangeKind::Set => {
                let secret = text("webhook_secret_parameter")?;
                // Elsewhere it makes no difference whose environment it is.
                let organization = match policy.webhook {
                    WebhookTarget::Organization => self.organization_of(work, record).await,
                    WebhookTarget::None | WebhookTarget::App => Ok(String::new()),
                };
                let set = match organization {
                    Ok(organization) => webhooks.point(policy, &organization, endpoint, secret).await,
                    Err(why) => Err(why),
                };
                set.unwrap_or_else(|why| webhook_failed(&why))
            }
            ChangeKind::Delete => {
                let removed = webhooks.forget(policy, endpoint).await;
                removed.unwrap_or_else(|why| webhook_left(&why))
            }
        };
        (!said.is_empty()).then(|| format!("\n{said}\n"))
    }
}

/// Whether a change is checked for this approval.
fn is_checked(record: &Record, digest: Digest) -> bool {
    matches!(&record.change.state, State::Checking(_, approval) if approval.digest == digest)
}

/// Nothing was applied, and that is said.
fn not_applied(stage: ChangeStage, why: &str) -> Done {
    let message = format!("{why}; nothing was applied");
    Done::event(LifecycleEvent::NotApplied(ChangeFailure::new(stage, message)))
}

/// Whether the rules of the default branch allow a merge at all: better known before the apply than after it.
fn allowed(rules: &MergeRules) -> Result<(), String> {
    if rules.needs_queue {
        let why = "the default branch takes changes by a merge queue only, past which nothing can be merged; take that rule from it";
        return Err(why.into());
    }
    if rules.methods.is_empty() {
        let why = "the repository's settings and the rules of the default branch allow no common way of merging (merge, squash, rebase)";
        return Err(why.into());
    }
    Ok(())
}

/// Whether somebody merged exactly this by hand: then it can be applied, and needs no merge. A deletion has no folder left that it could
/// be planned from.
fn merged_already(pull: &Pull, head: &str, default_branch: &str, kind: ChangeKind) -> bool {
    is_merged_into(pull, default_branch) && pull.head == head && kind == ChangeKind::Set
}

/// Why GitHub blocks a merge, as far as it says it: not which of the checks is missing.
fn blocked(rules: &MergeRules) -> String {
    let why = "a rule of the default branch blocks it: a review or a check that is still missing";
    match rules.required_checks.as_slice() {
        [] => why.to_owned(),
        checks => {
            let names: Vec<&str> = checks.iter().take(CHECKS_MAX).map(String::as_str).collect();
            format!("{why}. These checks must have passed: {}", names.join(", "))
        }
    }
}

/// Whether GitHub would merge into the default branch, before anything is applied.
fn mergeable(pull: &Pull, head: &str, default_branch: &str, rules: &MergeRules) -> Result<(), String> {
    if is_merged_into(pull, default_branch) {
        return Err("the pull request was merged already, by hand".into());
    }
    if pull.is_merged {
        return Err("it was merged into another branch than the default one; `/cancel`, then reopen the issue".into());
    }
    if !pull.is_open {
        return Err("the pull request is closed".into());
    }
    if pull.base_branch != default_branch {
        return Err(OTHER_BASE.into());
    }
    let mergeable = pull.mergeable.filter(|_| pull.head == head);
    match (mergeable, pull.mergeable_state.as_str()) {
        (Some(false), _) | (_, "dirty") => {
            Err("it conflicts with the default branch; `/plan` renders it again on top of it".into())
        }
        (_, "blocked") => Err(blocked(rules)),
        (_, "behind") => Err("the default branch wants it to be up to date; `/plan` brings it there".into()),
        (_, "draft") => Err("it is a draft".into()),
        (Some(true), _) => Ok(()),
        (None, _) => Err("GitHub has not found out yet whether it can be merged; approve again in a moment".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pull(base_branch: &str) -> Pull {
        Pull {
            number: 2,
            is_open: true,
            is_merged: false,
            head_branch: "runnersmith/team-1".into(),
            head: "c0ffee".into(),
            is_fork: false,
            base_branch: base_branch.into(),
            mergeable: Some(true),
            mergeable_state: "clean".into(),
        }
    }

    #[test]
    fn only_into_the_default_branch_anything_is_applied_and_merged() {
        let can = |pull: &Pull, head: &str| mergeable(pull, head, "main", &MergeRules::default());
        assert_eq!(can(&pull("main"), "c0ffee"), Ok(()));
        assert_eq!(can(&pull("release"), "c0ffee"), Err(OTHER_BASE.to_owned()));
        let unknown = Pull { mergeable: None, ..pull("main") };
        assert!(can(&unknown, "c0ffee").is_err(), "what is not known is no yes");
        assert!(can(&pull("main"), "another").is_err(), "what is known is of another head");
    }
}
