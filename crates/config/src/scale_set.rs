//! One `[[scale_set]]`: its policy, every field checked.

use std::collections::BTreeSet;

use runnersmith_plan::schedule;
use runnersmith_types::{
    Day, Ec2Set, Label, MinIdleEntry, Owner, RepoFullName, RepoPattern, RunnerGroupName, RunnerScope, ScaleSet,
    ScaleSetName, Scope, ScopeLevel, Timing,
};

use crate::reader::{Reader, Unit};

/// Reads one set. `None` when it has no usable name; everything else that is wrong is reported and read as its default.
pub(crate) fn read(reader: &mut Reader<'_>) -> Option<(ScaleSet, Option<Ec2Set>)> {
    let name = reader.required("name", "a short word, part of every runner's name")?;
    let name = match ScaleSetName::parse(name) {
        Ok(name) => name,
        Err(error) => {
            reader.refuse("name", error.to_string());
            return None;
        }
    };
    reader.rename(format!("scale_set.{name}"));
    let ephemeral = reader.boolean("ephemeral", true);
    let default = ScaleSet::new(name, labels(reader));
    let ec2 = reader.table("ec2");
    let on_ec2 = if ec2.is_there() { crate::ec2::read(&ec2) } else { None };
    let set = ScaleSet {
        serves_unlabelled: reader.boolean("serves_unlabelled", default.serves_unlabelled),
        scope: scope(reader),
        group: group(reader, default.group),
        ephemeral,
        runners_max: reader.number("runners_max", 1..=10_000, default.runners_max),
        priority: reader
            .integer("priority", -1_000..=1_000)
            .and_then(|n| i32::try_from(n).ok())
            .unwrap_or(default.priority),
        min_idle: min_idle(reader),
        timing: timing(reader, ephemeral),
        token_when_jit_exhausted: reader.boolean("token_when_jit_exhausted", default.token_when_jit_exhausted),
        rerun_interrupted: reader.boolean("rerun_interrupted", default.rerun_interrupted),
        notify: reader.boolean("tell", default.notify),
        only_fleet: reader.boolean("only_fleet", default.only_fleet),
        name: default.name,
        labels: default.labels,
        fallback_order: on_ec2.as_ref().map_or(default.fallback_order, |(_, fallback_order)| fallback_order.clone()),
    };
    reader.finish();
    Some((set, on_ec2.map(|(ec2, _)| ec2)))
}

fn labels(reader: &Reader<'_>) -> BTreeSet<Label> {
    let mut labels = BTreeSet::new();
    for text in reader.strings("labels") {
        match Label::of_set(text) {
            Ok(label) => drop(labels.insert(label)),
            Err(error) => reader.refuse("labels", error.to_string()),
        }
    }
    if labels.is_empty() {
        reader.refuse("labels", "at least one label is needed; all that jobs may ask for, `self-hosted` included");
    }
    if labels.len() > 100 {
        reader.refuse("labels", format!("{} labels; at most 100 are allowed", labels.len()));
    }
    labels
}

/// GitHub's OpenAPI documents say of all seven operations on an enterprise's runners that Apps may not use them
/// (`enabledForGitHubApps: false`); its REST pages name classic tokens alone.
const NO_ENTERPRISE: &str = "\"enterprise\" cannot work: GitHub lets no App register an enterprise's runners. Install the App in each \
    organisation and use \"organization\" without `at`, so that runners register where each job is, or one scale set for each";

fn scope(reader: &Reader<'_>) -> Scope {
    let level = match reader.string("level") {
        None | Some("organization") => ScopeLevel::Organization,
        Some("repository") => ScopeLevel::Repository,
        Some("enterprise") => {
            reader.refuse("level", NO_ENTERPRISE);
            ScopeLevel::Organization
        }
        Some(_) => {
            reader.refuse("level", "\"organization\" or \"repository\" is allowed");
            ScopeLevel::Organization
        }
    };
    let at = reader.string("at").and_then(|text| {
        let at = match level {
            ScopeLevel::Repository => RepoFullName::parse(text).map(RunnerScope::Repository),
            ScopeLevel::Organization | ScopeLevel::Enterprise => Owner::parse(text).map(RunnerScope::Organization),
        };
        at.map_err(|error| reader.refuse("at", error.to_string())).ok()
    });
    let mut allowed = Vec::new();
    for text in reader.strings("allowed_repositories") {
        let valid = match text.strip_suffix("/*") {
            Some(owner) => Owner::parse(owner).is_ok(),
            None => RepoFullName::parse(text).is_ok(),
        };
        if valid {
            allowed.push(RepoPattern(text.to_owned()));
        } else {
            reader.refuse("allowed_repositories", format!("{text:?} is neither `owner/name` nor `owner/*`"));
        }
    }
    Scope { level, at, allowed }
}

fn group(reader: &Reader<'_>, default: RunnerGroupName) -> RunnerGroupName {
    let Some(text) = reader.string("runner_group") else { return default };
    RunnerGroupName::parse(text).unwrap_or_else(|error| {
        reader.refuse("runner_group", error.to_string());
        default
    })
}

fn timing(reader: &Reader<'_>, ephemeral: bool) -> Timing {
    let default = Timing::default();
    let seconds = |key, max| reader.time(key, Unit::Seconds, 0..=max);
    let minutes = |key, max| reader.time(key, Unit::Minutes, 0..=max);
    // The 30 s of the philips-labs module let idle reusable runners take a job first; idle ephemeral ones are counted instead.
    let delay = if ephemeral { default.delay } else { std::time::Duration::from_secs(30) };
    Timing {
        delay: seconds("delay_seconds", 900).unwrap_or(delay),
        running_min: minutes("minimum_running_time_in_minutes", 1_440).unwrap_or(default.running_min),
        launch_deadline: reader
            .time("launch_deadline_minutes", Unit::Minutes, 1..=120)
            .unwrap_or(default.launch_deadline),
        stale_status_after: reader
            .time("stale_status_after_minutes", Unit::Minutes, 1..=1_440)
            .unwrap_or(default.stale_status_after),
        boot_deadline: reader.time("boot_deadline_minutes", Unit::Minutes, 1..=120).unwrap_or(default.boot_deadline),
        lifetime_max: reader.time("lifetime_hours", Unit::Hours, 1..=720).unwrap_or(default.lifetime_max),
        hard_end_after: reader
            .time("hard_end_after_minutes", Unit::Minutes, 1..=1_440)
            .unwrap_or(default.hard_end_after),
        idle_confirm: seconds("idle_confirm_seconds", 3_600).unwrap_or(default.idle_confirm),
        settle: seconds("settle_seconds", 3_600).unwrap_or(default.settle),
        finished_grace: seconds("finished_grace_seconds", 3_600).unwrap_or(default.finished_grace),
        ghost_grace: reader.time("ghost_grace_seconds", Unit::Seconds, 1..=3_600).unwrap_or(default.ghost_grace),
        stall_after: reader.time("hold_after_seconds", Unit::Seconds, 10..=3_600).unwrap_or(default.stall_after),
        stall_for: reader.time("hold_for_seconds", Unit::Seconds, 10..=86_400).unwrap_or(default.stall_for),
        notify_after: seconds("tell_after_seconds", 86_400).unwrap_or(default.notify_after),
        verify_after: reader.time("verify_after_seconds", Unit::Seconds, 10..=86_400).unwrap_or(default.verify_after),
        boot_failures_max: reader.number("boot_failures_max", 1..=100, default.boot_failures_max),
        probe_backoff: reader.time("probe_backoff_seconds", Unit::Seconds, 1..=3_600).unwrap_or(default.probe_backoff),
    }
}

fn min_idle(reader: &Reader<'_>) -> Vec<MinIdleEntry> {
    let mut entries = Vec::new();
    for entry in reader.tables("idle_config") {
        let cron = entry.required("cron", "six fields, seconds first: \"* * 9-17 * * 1-5\"");
        let time_zone = entry.required("timeZone", "an IANA name such as \"Europe/Berlin\"");
        let count = entry.number("idleCount", 0..=10_000, 1);
        entry.finish();
        if let (Some(cron), Some(time_zone)) = (cron, time_zone) {
            let read = MinIdleEntry::Cron { cron: cron.to_owned(), time_zone: time_zone.to_owned(), count };
            check(&entry, "cron", &read);
            entries.push(read);
        }
    }
    for entry in reader.tables("idle_window") {
        let (from, to) =
            (entry.required("from", "a time of day, \"08:00\""), entry.required("to", "a time of day, \"18:00\""));
        let time_zone = entry.required("time_zone", "an IANA name such as \"Europe/Berlin\"");
        let count = entry.number("count", 0..=10_000, 1);
        let days = days(&entry);
        entry.finish();
        let (from, to) = (minute(&entry, "from", from), minute(&entry, "to", to));
        if let (Some(from_minute), Some(to_minute), Some(time_zone)) = (from, to, time_zone) {
            let read = MinIdleEntry::Window { days, from_minute, to_minute, time_zone: time_zone.to_owned(), count };
            check(&entry, "time_zone", &read);
            entries.push(read);
        }
    }
    entries
}

fn check(reader: &Reader<'_>, key: &'static str, entry: &MinIdleEntry) {
    if let Err(error) = schedule::validate(entry) {
        let key =
            if matches!(error, schedule::ScheduleError::TimeZone { .. }) && key == "cron" { "timeZone" } else { key };
        reader.refuse(key, error.to_string());
    }
}

fn days(reader: &Reader<'_>) -> Vec<Day> {
    const DAYS: [(&str, Day); 7] = [
        ("mon", Day::Mon),
        ("tue", Day::Tue),
        ("wed", Day::Wed),
        ("thu", Day::Thu),
        ("fri", Day::Fri),
        ("sat", Day::Sat),
        ("sun", Day::Sun),
    ];
    let mut days = Vec::new();
    for text in reader.strings("days") {
        match DAYS.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)) {
            Some((_, day)) => days.push(*day),
            None => reader.refuse("days", format!("{text:?} is not a day; mon, tue, wed, thu, fri, sat, sun are")),
        }
    }
    days
}

fn minute(reader: &Reader<'_>, key: &'static str, text: Option<&str>) -> Option<u16> {
    let parsed = text?.split_once(':').and_then(|(hour, minute)| {
        let two = |part: &str| part.bytes().all(|b| b.is_ascii_digit()) && part.len() == 2;
        let (hour, minute): (u16, u16) =
            (hour.parse().ok().filter(|_| two(hour))?, minute.parse().ok().filter(|_| two(minute))?);
        (hour < 24 && minute < 60).then_some(hour * 60 + minute)
    });
    if parsed.is_none() {
        reader.refuse(key, "a time of day from \"00:00\" to \"23:59\" is needed");
    }
    parsed
}
