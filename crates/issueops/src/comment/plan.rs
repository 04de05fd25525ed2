//! The one comment that shows a change, edited in place: what it is, what its plan would do, and what to write next.

use super::markdown::{code, fence, head, names, some};
use super::{Layout, Marker, count, moment};
use crate::change::{Change, ChangeKind, HeldLock, Holder, Left, PlanRecord, State};
use crate::policy::{MicroDollars, Policy};
use crate::render::Difference;
use crate::summary::{
    Area, Cost, Effect, EnvironmentFleet, FleetChange, GroupAccess, PerHour, ResourceChange, Summary,
};

/// Files that differ from what the request renders.
pub type Differs = Vec<Difference>;

/// The most resources of a section that is shown beside the list.
const SECTION_MAX: usize = 25;
/// The most attributes of one resource there.
const SECTION_DETAILS_MAX: usize = 4;
/// The most characters of such a section, and of each list of names.
const SECTION_CHARS_MAX: usize = 6_000;
const NAMES_CHARS_MAX: usize = 1_500;

/// A plan, as it is shown.
#[derive(Clone, Debug)]
pub struct PlanView<'a> {
    /// What it would do.
    pub summary: &'a Summary,
    /// Where that is shown.
    pub layout: &'a Layout,
    /// What it means for the fleet.
    pub fleet: &'a FleetChange,
    /// What it costs.
    pub cost: &'a Cost,
    /// Files that were edited by hand.
    pub differences: &'a [Difference],
    /// Where the plan's file is; ours.
    pub file_url: Option<&'a str>,
}

/// The comment that shows a change.
#[must_use]
pub fn state_comment(change: &Change, policy: &Policy, plan: Option<&PlanView<'_>>, lock: Option<&HeldLock>) -> String {
    let what = match change.kind {
        ChangeKind::Set => "Runners",
        ChangeKind::Delete => "Delete runners",
    };
    let mut text = format!(
        "{}\n## {what}: {}\n\nAsked for in #{} by {}. State: **{}**.\n",
        Marker::State.line(),
        code(&change.environment),
        change.issue,
        code(&change.author.login),
        change.state.word()
    );
    text.push_str(&next(change, policy));
    if let Some(held) = lock {
        text.push_str(&format!("\n{}\n", lock_line(held)));
    }
    if let (Some(view), Some(record)) = (plan, change.state.plan()) {
        text.push_str(&shown(view, record));
    }
    text
}

/// Who holds a lock.
pub(super) fn lock_line(held: &HeldLock) -> String {
    let lock = &held.lock;
    let holder = match &lock.holder {
        Holder::Person(holder) => code(&holder.login),
        Holder::Run { run, pull } => format!("run {} for #{pull}", code(run)),
    };
    let reason = if lock.reason.is_empty() { String::new() } else { format!(": {}", code(&head(&lock.reason, 300))) };
    format!("The environment is locked by {holder} since {}{reason}.", moment(lock.since))
}

/// What to do next.
pub(super) fn next(change: &Change, policy: &Policy) -> String {
    let line = |text: String| format!("\n{text}\n");
    match &change.state {
        State::Requested => line("There is no plan. `/plan` makes one.".to_owned()),
        State::HandEdited => {
            let order = match &change.edited_files {
                Some(edited) => format!(
                    "so an admin must read them, as commit {} has them, and order it by\n\n```text\n{}\n```",
                    code(&head(&edited.commit, 64)),
                    edited.plan_line()
                ),
                None => "so an admin must ask for it with `/plan`.".to_owned(),
            };
            line(format!(
                "Files differ from what the request renders. A plan runs what they say, {order}\n\nEditing the issue renders them again."
            ))
        }
        State::Planning => line("The plan is being made; it will be shown here.".to_owned()),
        State::Planned(plan) => {
            let expires = moment(plan.posted_at.plus(policy.approval.plan_expiry));
            let edited = if plan.is_hand_edited || change.is_hand_edited { " An admin must do it, since files were edited by hand." } else { "" };
            format!(
                "\nTo apply exactly this plan, until {expires}, comment\n\n```text\n{}\n```\n\n{}{edited} Digest: `{}`\n",
                plan.approve_line(change.kind),
                who(policy),
                plan.parts.digest()
            )
        }
        State::Expired => line("The plan was not approved in time. `/plan` makes a new one.".to_owned()),
        State::Checking(_, approval) => {
            line(format!("Approved by {}; what the plan was made from is being read again.", code(&approval.by.login)))
        }
        State::Draining { approval, until, left, is_overdue, .. } => {
            let left = left.as_ref().map_or_else(|| "not yet counted".to_owned(), left_words);
            let wait = if *is_overdue {
                format!("waiting ended {}; see the answer below", moment(*until))
            } else {
                format!("it waits for running jobs until {}", moment(*until))
            };
            line(format!("Approved by {}; no new jobs are taken. Left: {left}; {wait}. `/cancel` stops the deletion.", code(&approval.by.login)))
        }
        State::Applying { approval, run, .. } => {
            line(format!("Approved by {}; run {} applies it.", code(&approval.by.login), code(run)))
        }
        State::Applied { .. } => line("Applied; the branch is being merged.".to_owned()),
        State::NotMerged { .. } => line(
            "Applied, and not merged: what is there differs from the default branch. Merge by hand, or fix what keeps the branch from merging and comment `/plan`."
                .to_owned(),
        ),
        State::Done => line("Applied and merged.".to_owned()),
        State::Failed(failure) if failure.stopped.is_some() => line(format!(
            "The {} was stopped; nothing was merged. `/plan` shows what is left to do.",
            failure.stage.word()
        )),
        State::Failed(failure) => {
            line(format!("The {} failed; nothing was merged. Fix the cause, then comment `/plan`.", failure.stage.word()))
        }
        State::Interrupted { run } => line(format!(
            "Run {} died while it applied; what it did is not known. `/plan` shows what is left to do, and approving that plan goes on.",
            code(run)
        )),
        State::Cancelled if change.is_half_done => {
            line("Given up. What was applied before stays, and is in the state.".to_owned())
        }
        State::Cancelled => line("Given up; nothing is applied.".to_owned()),
    }
}

fn who(policy: &Policy) -> String {
    let team =
        policy.approval.team.as_ref().map(|team| format!(" and is in the team {}", code(team))).unwrap_or_default();
    let author = if policy.approval.author_may_approve {
        ""
    } else {
        ", but not who asked for it, edited, labelled or reopened the issue, or committed to it"
    };
    format!("Anyone who may write to this repository{team} can do that{author}.")
}

/// What is left, in words.
pub(super) fn left_words(left: &Left) -> String {
    let Left { jobs, machines, registrations, hand_offs, log_groups } = *left;
    let some = [
        (jobs, "running job"),
        (machines, "machine"),
        (registrations, "registration"),
        (hand_offs, "hand-off"),
        (log_groups, "log group"),
    ];
    let words: Vec<String> =
        some.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| count(n as usize, what)).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

fn shown(view: &PlanView<'_>, record: &PlanRecord) -> String {
    let mut text = format!("\n### Plan: {}\n", view.summary);
    if !view.differences.is_empty() {
        let files = view.differences.iter().map(|one| format!("- {}\n", code(&head(&one.to_string(), 300))));
        let (files, more) = some(files, NAMES_CHARS_MAX);
        let more = if more > 0 { format!("- and {}\n", count(more, "further file")) } else { String::new() };
        text.push_str(&format!(
            "\n> [!WARNING]\n> Files were edited by hand; they are not what the request renders.\n\n{}{more}",
            files.concat()
        ));
    }
    let losses = view.summary.losses().count();
    if losses > 0 {
        text.push_str(&format!(
            "\n> [!CAUTION]\n> {} with state would be lost. Approving needs the word `destroy`.\n",
            count(losses, "resource")
        ));
    }
    let open = view.summary.changes.iter().filter(|change| change.is_open).count();
    if open > 0 {
        text.push_str(&format!("\n> [!CAUTION]\n> {} would let the whole internet in.\n", count(open, "rule")));
    }
    text.push_str(&fleet(view.fleet, view.cost));
    for (area, title) in [(Area::Iam, "Who may do what (IAM)"), (Area::Network, "Network")] {
        text.push_str(&section(title, view.summary.changes.iter().filter(|change| change.area == area)));
    }
    text.push_str(&resources(view));
    let parts = &record.parts;
    text.push_str(&format!(
        "\n<details><summary>What the digest covers</summary>\n\n- plan file {}\n- head commit {}\n- base {}\n- state {} serial {}\n- provider lock file {}\n- Terraform {}, Runnersmith {}\n- {}\n\n</details>\n",
        code(&parts.plan_file.short()),
        code(&head(&parts.head, 64)),
        code(&parts.base.short()),
        code(&head(&parts.state_lineage, 64)),
        parts.state_serial,
        code(&parts.lock_file.short()),
        code(&head(&parts.terraform_version, 40)),
        code(&head(&parts.runnersmith_version, 40)),
        count(parts.continuations.len(), "further text")
    ));
    text
}

fn resources(view: &PlanView<'_>) -> String {
    let (layout, mut text) = (view.layout, String::new());
    if view.summary.is_empty() {
        text.push_str("\nNo resource changes.\n");
    } else {
        text.push_str("\n#### Resources\n\n");
        text.push_str(&fence(&layout.list, "diff"));
    }
    if layout.list_more > 0 {
        text.push_str(&format!(
            "\n{} more here. All that is lost is named in the {} below, which the digest covers.\n",
            layout.list_more,
            count(layout.continuations.len(), "comment")
        ));
    }
    if !view.summary.outputs.is_empty() {
        let outputs = names(view.summary.outputs.iter().map(String::as_str), NAMES_CHARS_MAX);
        text.push_str(&format!("\nOutputs that change: {outputs}.\n"));
    }
    if !view.summary.drifted.is_empty() {
        text.push_str(&format!(
            "\nFound to differ from the state: {}; the plan reckons with what is there.\n",
            count(view.summary.drifted.len(), "resource")
        ));
    }
    if let Some(plan) = layout.text.as_ref().filter(|plan| !plan.trim().is_empty()) {
        text.push_str(&format!("\n<details><summary>Full plan</summary>\n\n{}\n</details>\n", fence(plan, "text")));
    } else if layout.file.is_some() {
        let place = view
            .file_url
            .map_or_else(|| "stored with the plan".to_owned(), |url| format!("at {}", code(&head(url, 500))));
        text.push_str(&format!(
            "\nThe full plan is too long for a comment; it is {place}, and the digest covers it.\n"
        ));
    }
    text
}

fn section<'a>(title: &str, changes: impl Iterator<Item = &'a ResourceChange>) -> String {
    let changes: Vec<&ResourceChange> = changes.collect();
    if changes.is_empty() {
        return String::new();
    }
    let (entries, more) = some(changes.iter().take(SECTION_MAX).map(|change| section_entry(change)), SECTION_CHARS_MAX);
    let more = more + changes.len().saturating_sub(SECTION_MAX);
    let more = if more > 0 { format!("- and {more} more, in the list of resources\n") } else { String::new() };
    format!("\n#### {title}\n\n{}{more}", entries.concat())
}

fn section_entry(change: &ResourceChange) -> String {
    let open = if change.is_open { " — **open to the whole internet**" } else { "" };
    let mut text = format!("- {} {}{open}\n", change.effect.word(), code(&head(&change.address, 200)));
    let details = if change.effect == Effect::Update { change.details.as_slice() } else { &[] };
    for detail in details.iter().take(SECTION_DETAILS_MAX) {
        let value = |text: &str| code(&head(text, 60));
        text.push_str(&format!(
            "  - {}: {} → {}\n",
            value(&detail.attribute),
            value(&detail.before),
            value(&detail.after)
        ));
    }
    let more =
        details.len().saturating_sub(SECTION_DETAILS_MAX) + if details.is_empty() { 0 } else { change.details_more };
    if more > 0 {
        text.push_str(&format!("  - and {}\n", count(more, "further attribute")));
    }
    text
}

/// `3 → 20`, `20` when nothing changes.
fn arrow(before: Option<String>, after: Option<String>) -> String {
    match (before, after) {
        (Some(before), Some(after)) if before == after => after,
        (Some(before), Some(after)) => format!("{before} → {after}"),
        (None, Some(after)) => format!("{after} (new)"),
        (Some(before), None) => format!("{before} → none"),
        (None, None) => "none".to_owned(),
    }
}

fn fleet(change: &FleetChange, cost: &Cost) -> String {
    let both = |value: &dyn Fn(&EnvironmentFleet) -> String| {
        arrow(change.before.as_ref().map(value), change.after.as_ref().map(value))
    };
    let named = |labels: Vec<&str>| names(labels.into_iter(), NAMES_CHARS_MAX);
    let short = |text: &str| code(&head(text, 100));
    let mut text = String::from("\n#### Fleet\n\n");
    text.push_str(&format!("- Maximum: {}\n", both(&|fleet| fleet.maximum.to_string())));
    text.push_str(&format!("- Idle runners kept: {}\n", both(&|fleet| fleet.floor.to_string())));
    text.push_str(&format!(
        "- Machines: {} in {}\n",
        both(&|fleet| short(&fleet.instance_type)),
        both(&|fleet| short(&fleet.region))
    ));
    let (gained, lost) = (change.labels_gained(), change.labels_lost());
    if !gained.is_empty() {
        text.push_str(&format!("- Labels that newly match jobs: {}\n", named(gained)));
    }
    if !lost.is_empty() {
        text.push_str(&format!("- Labels that match no more; jobs that ask for them would wait: {}\n", named(lost)));
    }
    let group = both(&|fleet| short(&fleet.group));
    text.push_str(&format!(
        "- Group: {group}, of {}; {}\n",
        both(&|fleet| short(&fleet.organization)),
        access(&change.access)
    ));
    text.push_str(&money(cost));
    text
}

fn access(access: &GroupAccess) -> String {
    let public =
        |public: &bool| if *public { ", **public ones too: anybody's pull request may run there**" } else { "" };
    match access {
        GroupAccess::All { public: p } => format!("every repository may use it{}", public(p)),
        GroupAccess::Selected { repositories, public: p } => {
            let list = match repositories.as_slice() {
                [] => "no repository".to_owned(),
                some => names(some.iter().map(String::as_str), NAMES_CHARS_MAX),
            };
            format!("{list} may use it{}", public(p))
        }
        GroupAccess::Missing => "**GitHub has no such group; the runners could not register**".to_owned(),
        GroupAccess::Unknown => "who may use it could not be read".to_owned(),
    }
}

fn money(cost: &Cost) -> String {
    let word = |per_hour: &PerHour| per_hour.worst.map_or_else(|| "unknown".to_owned(), |worst| worst.to_string());
    let worst = arrow(cost.before.as_ref().map(word), cost.after.as_ref().map(word));
    let reason = match &cost.after {
        Some(PerHour { price: Some(price), is_from_policy: true, .. }) => {
            format!(" (maximum × {price}, the policy's price)")
        }
        Some(PerHour { price: Some(price), .. }) => {
            format!(" (maximum × {price}, on demand in us-east-1; spot costs less, other regions more)")
        }
        Some(PerHour { price: None, .. }) => {
            " (the type's price is not known; the policy can say it under `prices`)".to_owned()
        }
        None => String::new(),
    };
    let fixed = match cost.fixed_per_month {
        MicroDollars(0) => "no change that is known".to_owned(),
        MicroDollars(n) if n > 0 => format!("+{}", cost.fixed_per_month),
        less => less.to_string(),
    };
    format!(
        "- Cost at worst, per hour: {worst}{reason}\n- Cost without any job, per month: {fixed}; requests, logs and traffic come on top\n"
    )
}
