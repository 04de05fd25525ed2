//! Answers: short, with what to do next. A `match` without a rest arm, so that a new reply cannot go without words. Some are said so
//! that people are notified, which GitHub does of new comments and of mentions, never of edits.

use super::markdown::{code, fence, head, tail};
use super::plan::{left_words, lock_line, next};
use super::{Marker, count, moment};
use crate::change::{
    Change, ChangeFailure, ChangeKind, ChangeStage, Denial, GivenUp, HeldLock, Holder, Liveness, Lock, Misread, Reply,
    RequestOutcome, State, Stopped, VoidWhy,
};
use crate::command::CommentCommand;
use crate::policy::Policy;
use crate::render::example_workflow;
use crate::request::{RequestKind, RequestProblem};
use crate::words::LabelName;

/// The most characters of an error that is shown.
const ERROR_MAX: usize = 12_000;
/// The most entries of any list in an answer.
const ENTRIES_MAX: usize = 40;

/// What is known after an apply, from Terraform's outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppliedView {
    /// Where GitHub sends webhooks; `None` on a shared control plane.
    pub webhook_endpoint: Option<String>,
    /// The SSM parameter that holds the webhook's secret; never the secret.
    pub webhook_secret_parameter: Option<String>,
    /// Labels beside `self-hosted`.
    pub labels: Vec<LabelName>,
    /// The most runners.
    pub maximum: u32,
}

/// What is said of a webhook whose address could not be set. `why` is foreign text.
#[must_use]
pub fn webhook_failed(why: &str) -> String {
    format!("The webhook's address could not be set: {}", code(&head(why, 600)))
}

/// What is said of a webhook that leads to what is gone, and could not be removed. `why` is foreign text.
#[must_use]
pub fn webhook_left(why: &str) -> String {
    format!(
        "The webhook that leads there could not be removed; it does no harm, and can go by hand: {}",
        code(&head(why, 600))
    )
}

/// The answer's text. `applied` is needed for [`Reply::Applied`] alone.
#[must_use]
pub fn reply(reply: &Reply, change: &Change, policy: &Policy, applied: Option<&AppliedView>) -> String {
    let text = match reply {
        Reply::Help(misread) => help(misread),
        Reply::Status { lock, run } => status(change, policy, lock.as_ref(), *run),
        Reply::Denied { command, actor, why } => {
            format!("`/{command}` by {} was not followed: {}\n", code(actor), denial(why))
        }
        Reply::Edited { author } => {
            format!("A comment by {} was edited. An edited comment orders nothing: write a new one.\n", code(author))
        }
        Reply::Differs(changed) => {
            let line = |one: &crate::change::Changed| {
                format!("- {}: was {}, is {}\n", one.part, code(&head(&one.was, 80)), code(&head(&one.is, 80)))
            };
            let lines: String = changed.iter().map(line).collect();
            format!(
                "Nothing was applied: what the plan was made from has changed.\n\n{lines}\n`/plan` makes a new plan.\n"
            )
        }
        Reply::Locked { by, reason } => {
            let reason = if reason.is_empty() { String::new() } else { format!(": {}", code(reason)) };
            format!(
                "{} is locked by {}{reason}. Nobody else can apply until `/unlock`.\n",
                code(&change.environment),
                code(by)
            )
        }
        Reply::Unlocked(lock) => format!("The lock of {} is ended.\n", holder(lock)),
        Reply::Cancelled(why) => cancelled(why, change),
        Reply::Void(why) => void(*why, policy),
        Reply::Draining { until } => format!(
            "No new jobs are taken. Running ones may end until {}; then everything is destroyed. `/status` shows what is left, `/cancel` stops it.\n",
            moment(*until)
        ),
        Reply::DrainOverdue { left, digest } => {
            let kill = match left.jobs {
                0 => String::new(),
                _ => format!(
                    " To end the jobs, comment\n\n```text\n/approve {} destroy kill-jobs\n```\n\n",
                    digest.short()
                ),
            };
            format!(
                "Waiting has ended, and there are still: {}. Nothing was destroyed. It goes on by itself when they are gone.{}`/cancel` stops the deletion.\n",
                left_words(left),
                if kill.is_empty() { " " } else { &kill }
            )
        }
        Reply::Failed(failure) => failed(failure),
        Reply::Interrupted { run } => format!(
            "Run {} died while it applied, so what it did is not known. Nothing was merged. `/plan` shows what is left to do; approving that plan goes on.\n",
            code(run)
        ),
        Reply::NotMerged { head: commit, why } => format!(
            "Commit {} was applied, and its branch was not merged:\n\n{}\nWhat is there differs from the default branch until it is. Merge by hand, or fix the cause and comment `/plan`: a plan without changes can be approved, and is then merged.\n",
            code(&head(commit, 64)),
            fence(&tail(why, ERROR_MAX), "text")
        ),
        Reply::PlanReady => return plan_ready(change, None),
        Reply::MergedEarly { plans } => merged_early(change.kind, *plans),
        Reply::Applied => applied_text(change, applied.cloned().unwrap_or_default()),
    };
    format!("{}\n{text}", Marker::Reply.line())
}

fn merged_early(kind: ChangeKind, plans: bool) -> String {
    let what = "This was merged by hand, and is not applied: the default branch says what is not there.";
    let way_out = match (kind, plans) {
        (ChangeKind::Set, true) => "A plan of what was merged is being made; approving that applies it.",
        (ChangeKind::Set, false) => "`/plan` makes a plan of what was merged; approving that applies it.",
        (ChangeKind::Delete, _) => {
            "Nothing is destroyed. Revert the merge by a pull request of its own, comment `/cancel` here, then reopen the issue."
        }
    };
    format!("{what} {way_out}\n")
}

fn holder(lock: &Lock) -> String {
    match &lock.holder {
        Holder::Person(holder) => code(&holder.login),
        Holder::Run { run, pull } => format!("run {} for #{pull}", code(run)),
    }
}

fn help(misread: &[Misread]) -> String {
    let mut text = String::new();
    for one in misread.iter().take(ENTRIES_MAX) {
        text.push_str(&format!("- {}: {}\n", code(&one.line), one.why));
    }
    if !misread.is_empty() {
        text.push('\n');
    }
    text.push_str("A command is a line of its own, in exactly these words:\n\n");
    for (form, meaning) in CommentCommand::FORMS {
        text.push_str(&format!("- `{form}`: {meaning}\n"));
    }
    text
}

fn status(change: &Change, policy: &Policy, lock: Option<&HeldLock>, run: Liveness) -> String {
    let mut text = format!("State: **{}**.\n{}", change.state.word(), next(change, policy));
    if let Some(held) = lock {
        text.push_str(&format!("\n{} ", lock_line(held)));
        text.push_str(match (&held.lock.holder, held.liveness) {
            (Holder::Person(_), _) => "They, or an admin, can end it with `/unlock`.\n",
            (Holder::Run { .. }, Liveness::Dead) => {
                "That run is dead: `/unlock` ends the lock, or approving a new plan of this change does.\n"
            }
            (Holder::Run { .. }, Liveness::Alive) => "That run goes on.\n",
            (Holder::Run { .. }, Liveness::Unknown) => "Whether that run goes on is not known, so the lock stays.\n",
        });
    } else if run == Liveness::Alive {
        text.push_str("\nA run is at work.\n");
    } else if run == Liveness::Dead && change.state == State::Planning {
        text.push_str("\nThe run that was to make it is dead; `/plan` begins again.\n");
    }
    text
}

fn denial(why: &Denial) -> String {
    match why {
        Denial::NeedsWrite => "it needs permission to write to this repository.".to_owned(),
        Denial::NeedsTeam(team) => format!("it needs a member of the team {}.", code(team)),
        Denial::TeamUnknown(team) => {
            format!(
                "membership of the team {} could not be read; the App needs the permission to read members.",
                code(team)
            )
        }
        Denial::IsAuthor => {
            "who asked for a change, edited, labelled or reopened its issue, or committed to it may not approve it. \
             Somebody else must."
                .to_owned()
        }
        Denial::NeedsTwo => {
            "a bot asked for this, or edited, labelled or reopened its issue, so it needs two people: one who asks for the \
             plan with `/plan`, and another who approves it."
                .to_owned()
        }
        Denial::EditorsUnknown => {
            "GitHub does not say who edited, labelled or reopened the issue, so it may have been anybody. It needs two people \
             who did not ask for it: one who asks for the plan with `/plan`, and another who approves it. With the permission \
             *Issues: read* GitHub says it, unless there are more than a thousand edits, or a label was given another name."
                .to_owned()
        }
        Denial::NeedsAdmin => "files were edited by hand, so it needs an admin of this repository.".to_owned(),
        Denial::NoPlan => "there is no plan that can be approved. `/plan` makes one.".to_owned(),
        Denial::OtherDigest { current } => {
            format!("that is not the digest of the current plan, which is {}. Read it first.", code(current))
        }
        Denial::NeedsDigest { line } => {
            format!("it must name the plan. Read it, then comment\n\n{}", fence(line, "text"))
        }
        Denial::NeedsFiles { line } => {
            format!(
                "files were edited by hand, and a plan runs what they say, so it must name them. Read them, then comment\n\n{}",
                fence(line, "text")
            )
        }
        Denial::OtherFiles { line } => {
            format!(
                "that is not the digest of the files that are there now. Read those, then comment\n\n{}",
                fence(line, "text")
            )
        }
        Denial::NeedsDestroy { line } => {
            format!("something that holds state would be lost. If that is meant, comment\n\n{}", fence(line, "text"))
        }
        Denial::NotADeletion => "`kill-jobs` is for deletions; this change ends no jobs.".to_owned(),
        Denial::IsLocked(lock) => {
            format!("the environment is locked by {} since {}. `/status` says more.", holder(lock), moment(lock.since))
        }
        Denial::NotYourLock(lock) => {
            format!("the lock is held by {} since {}; they, or an admin, can end it.", holder(lock), moment(lock.since))
        }
        Denial::RunNotDead(lock) => {
            format!("the lock is held by {} since {}, which is not proved dead.", holder(lock), moment(lock.since))
        }
        Denial::NotLocked => "there is no lock.".to_owned(),
        Denial::Busy(state) => format!("the change is {state}; wait for that to end."),
        Denial::HalfDone(state) => format!(
            "the change is {state}: giving it up would not undo what was begun. `/plan` shows what is left to do."
        ),
        Denial::Over(state) => format!("the change is {state}."),
        Denial::NotMergeable(why) => format!(
            "the branch could not be merged afterwards, so nothing was applied:\n\n{}\nFix that, then approve again.",
            fence(&tail(why, ERROR_MAX), "text")
        ),
    }
}

fn cancelled(why: &GivenUp, change: &Change) -> String {
    let (who, again) = match why {
        GivenUp::By(login) => (format!("Given up by {}.", code(login)), ""),
        GivenUp::Closed => ("Closed, so given up.".to_owned(), " Reopening the issue begins again."),
        GivenUp::Superseded => (
            "The issue asks for something else now, so this is given up.".to_owned(),
            " What it asks for now has a pull request of its own.",
        ),
    };
    let what = match (change.is_half_done, change.kind) {
        (false, _) => "Nothing is applied.",
        // The state is found by the environment's name, so another request goes on from it.
        (true, ChangeKind::Set) => {
            "What was applied before stays, and is in the state; the next request for this environment goes on from there."
        }
        (true, ChangeKind::Delete) => {
            "What was destroyed before is gone, and the rest takes no jobs; the next request for this environment goes on from there."
        }
    };
    format!("{who} {what}{again}\n")
}

fn void(why: VoidWhy, policy: &Policy) -> String {
    match why {
        VoidWhy::Expired => {
            let hours = policy.approval.plan_expiry.as_secs() / 3600;
            format!("The plan was not approved within {} and is void. `/plan` makes a new one.\n", count(usize::try_from(hours).unwrap_or(usize::MAX), "hour"))
        }
        VoidWhy::Pushed => "Somebody pushed; the plan and its approvals are void. A new plan is being made.\n".to_owned(),
        VoidWhy::HandEdited => "Somebody pushed, and files are no longer what the request renders: on this branch, or in the environment's folder on the default branch. The plan and its approvals are void; what an admin must write to have them planned stands in the comment above.\n".to_owned(),
        VoidWhy::RequestInvalid => "The issue was edited, and what it says now cannot be handled; the answer there says why. The plan and its approvals are void. Edit the issue again.\n".to_owned(),
    }
}

fn failed(failure: &ChangeFailure) -> String {
    if let Some(stopped) = failure.stopped {
        let (place, what) = match stopped {
            Stopped::BeforeItBegan => ("before it began", "Nothing was applied, and nothing merged."),
            Stopped::AtWork => (
                "before its end",
                "Nothing was merged. What had ended stays, and is in the state; a call to AWS that was under way may have had its \
                 effect without being in it.",
            ),
        };
        return format!(
            "The {} was stopped {place}: its workflow was cancelled, or its server stopped. {what}\n\n`/plan` shows what is \
             left to do.\n",
            failure.stage.word()
        );
    }
    let resource = failure.resource.as_ref().map(|name| format!(" at {}", code(&head(name, 600)))).unwrap_or_default();
    let half = if failure.stage == ChangeStage::Plan {
        ""
    } else {
        " What was done before the failure stays, and is in the state."
    };
    // A run that was lost may have made what it could not write down any more.
    let exists = ["AlreadyExists", "already exists"].iter().any(|word| failure.message.contains(word));
    let hint = if failure.stage == ChangeStage::Apply && exists {
        "What exists already and is not in the state was made by a run that was lost, or by somebody else. Delete it, or import it into the state. "
    } else {
        ""
    };
    format!(
        "The {} failed{resource}. Nothing was merged.{half}\n\n{}\n{hint}Fix the cause, then comment `/plan`.\n",
        failure.stage.word(),
        fence(&tail(&failure.message, ERROR_MAX), "text")
    )
}

fn applied_text(change: &Change, view: AppliedView) -> String {
    if change.kind == ChangeKind::Delete {
        return format!("{} is gone; its folder is in the archive.\n", code(&change.environment));
    }
    let mut text = format!("{} is applied.\n\n", code(&change.environment));
    if let Some(endpoint) = &view.webhook_endpoint {
        text.push_str(&format!("- Webhook endpoint: {}\n", code(&head(endpoint, 500))));
    }
    if let Some(parameter) = &view.webhook_secret_parameter {
        text.push_str(&format!("- Its secret is in the SSM parameter {}\n", code(&head(parameter, 500))));
    }
    let labels: Vec<String> = view.labels.iter().take(ENTRIES_MAX).map(|label| code(label.as_str())).collect();
    text.push_str(&format!(
        "- Labels: `self-hosted`{}{}\n",
        if labels.is_empty() { "" } else { ", " },
        labels.join(", ")
    ));
    text.push_str("\nThis workflow starts several jobs at once, to see the runners come and go:\n\n");
    text.push_str(&fence(&example_workflow(&view.labels, view.maximum), "yaml"));
    text
}

/// What is wrong with an issue, field by field.
#[must_use]
pub fn invalid(problems: &[RequestProblem], kind: RequestKind) -> String {
    let what = match kind {
        RequestKind::Set => "Nothing was created.",
        RequestKind::Delete => "Nothing was deleted.",
    };
    let mut text = format!("{}\nThis request cannot be handled as it is. {what}\n", Marker::Invalid.line());
    for problem in problems.iter().take(ENTRIES_MAX) {
        text.push_str(&format!("\n**{}**\n", problem.field));
        if !problem.given.is_empty() {
            text.push_str(&format!("- given: {}\n", code(&problem.given)));
        }
        text.push_str(&format!("- allowed: {}\n", code(&head(&problem.allowed, 800))));
        if !problem.example.is_empty() {
            text.push_str(&format!("- example: {}\n", code(&head(&problem.example, 200))));
        }
    }
    if problems.len() > ENTRIES_MAX {
        text.push_str(&format!("\nand {}\n", count(problems.len() - ENTRIES_MAX, "further problem")));
    }
    text.push_str("\nEdit the issue; it is read again then.\n");
    text
}

/// A mention of an account or a team; of text that can be neither, the text.
fn mention(name: &str) -> String {
    let is_name = |part: &str| {
        (1..=100).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    let is_one = name.split('/').count() <= 2 && name.split('/').all(is_name);
    if is_one { format!("@{name}") } else { code(name) }
}

/// That a plan waits: for the team that approves (`organisation/slug`), if the policy names one, and for who asked.
#[must_use]
pub fn plan_ready(change: &Change, team: Option<&str>) -> String {
    let line = match &change.state {
        State::Planned(plan) => code(&plan.approve_line(change.kind)),
        _ => "`/status`".to_owned(),
    };
    let approvers = match team {
        Some(team) => format!("{}: it can be approved by {line}.", mention(team)),
        None => format!("Somebody who may write can approve it by {line}."),
    };
    format!(
        "{}\nThe plan for {} that {} asked for is ready; the comment above shows it. {approvers}\n",
        Marker::Notice.line(),
        code(&change.environment),
        mention(&change.author.login)
    )
}

/// How a change came out, for its issue.
#[must_use]
pub fn outcome(outcome: RequestOutcome, change: &Change) -> String {
    let environment = code(&change.environment);
    let what = match (outcome, change.kind) {
        (RequestOutcome::Applied, ChangeKind::Set) => {
            format!("{environment} is applied: its runners, and how to use them, are in")
        }
        (RequestOutcome::Applied, ChangeKind::Delete) => format!("{environment} is gone, see"),
        (RequestOutcome::NotPlanned, _) => {
            format!("No plan could be made for {environment}; why, and what to do, is in")
        }
        (RequestOutcome::NotApplied, _) => {
            format!("{environment} could not be applied to its end; why, and what to do, is in")
        }
        (RequestOutcome::GivenUp, _) => format!("The request for {environment} was given up, see"),
    };
    format!("{}\n{}: {what} #{}.\n", Marker::Notice.line(), mention(&change.author.login), change.pull)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_is_mentioned() {
        assert_eq!(mention("octo-cat"), "@octo-cat");
        assert_eq!(mention("acme/platform_team"), "@acme/platform_team");
        for text in ["github-actions[bot]", "a/b/c", "", "a b", "a\n@b", "/x"] {
            assert!(!mention(text).starts_with('@'), "{text}");
        }
    }
}
