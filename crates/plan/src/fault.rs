//! What is wrong, as one typed list: the same in `status`, on the dashboard, in metrics and in the log.
//!
//! It is apart from the plan because nothing is decided from it. A fault says its cause and what to do, so that nobody has to
//! search for either.

use std::fmt;
use std::time::Duration;

use runnersmith_types::{HandOffTrouble, RunnerName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::words::{duration, escaped};

/// The most characters of a cause.
const CAUSE_MAX: usize = 300;

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// GitHub does not accept the App: its id or key is wrong, or it was deleted.
    AppRefused,
    /// GitHub does not answer, or only with errors of its own.
    GithubDown,
    /// GitHub's rate limit holds calls back.
    GithubLimited,
    /// GitHub refuses to register runners: their group, a permission or the installation is not there.
    RegistrationsRefused,
    /// Runners' configurations cannot be put where their machines read them.
    HandOffNotStored,
    /// GitHub refuses a call because the App was not granted a permission.
    PermissionMissing,
    /// Less than a tenth of the hour's calls to GitHub is left.
    RateLimitLow,
    /// This machine's clock is not GitHub's.
    ClockWrong,
    /// Jobs wait of which no delivery came.
    NoDelivery,
    /// GitHub's list of registrations is not known.
    RegistrationsUnknown,
    /// The list of machines is not known.
    MachinesUnknown,
    /// Machines did not boot, or their runners never came online.
    BootFailures,
    /// A capacity pool refused a launch and is left alone for a while.
    Capacity,
    /// A quota of the account refused a launch.
    Quota,
    /// This minute's calls are used up.
    CallBudget,
    /// Deliveries came whose signature is wrong.
    SignatureRejected,
    /// Deliveries could not be stored; GitHub was asked to send them again.
    DeliveryNotStored,
    /// Messages could not be read and went to the dead-letter queue.
    DeadLetters,
    /// A set's lease was lost in the middle of a pass: another process took it.
    LeaseLost,
    /// A scale set's settings cannot be read, so that the set is left out.
    SettingsInvalid,
    /// There is hardly any room on a disk of this host.
    DiskFull,
    /// The runner that machines get is so old that GitHub gives it no jobs, or will soon.
    RunnerOutdated,
    /// A background task failed, or panicked and was started again.
    TaskFailing,
    /// The server has said nothing for minutes.
    ServerStopped,
    /// What another version of the program recorded and this one does not know.
    #[serde(other)]
    Other,
}

impl FaultKind {
    /// A stable word, as in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::AppRefused => "app_refused",
            Self::GithubDown => "github_down",
            Self::GithubLimited => "github_limited",
            Self::RegistrationsRefused => "registrations_refused",
            Self::HandOffNotStored => "hand_off_not_stored",
            Self::RegistrationsUnknown => "registrations_unknown",
            Self::MachinesUnknown => "machines_unknown",
            Self::BootFailures => "boot_failures",
            Self::Capacity => "capacity",
            Self::Quota => "quota",
            Self::PermissionMissing => "permission_missing",
            Self::RateLimitLow => "rate_limit_low",
            Self::ClockWrong => "clock_wrong",
            Self::NoDelivery => "no_delivery",
            Self::LeaseLost => "lease_lost",
            Self::SettingsInvalid => "settings_invalid",
            Self::CallBudget => "call_budget",
            Self::SignatureRejected => "signature_rejected",
            Self::DeliveryNotStored => "delivery_not_stored",
            Self::DeadLetters => "dead_letters",
            Self::DiskFull => "disk_full",
            Self::RunnerOutdated => "runner_outdated",
            Self::TaskFailing => "task_failing",
            Self::ServerStopped => "server_stopped",
            Self::Other => "other",
        }
    }

    /// The kind of the trouble that hand-offs have.
    #[must_use]
    pub const fn of_hand_offs(trouble: HandOffTrouble) -> Self {
        match trouble {
            HandOffTrouble::Limited => Self::GithubLimited,
            HandOffTrouble::Unavailable => Self::GithubDown,
            HandOffTrouble::Refused => Self::RegistrationsRefused,
            HandOffTrouble::NotStored => Self::HandOffNotStored,
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn fix(self) -> &'static str {
        match self {
            Self::AppRefused => {
                "check [github] app_id and private key; `runnersmith app check` says what the App lacks"
            }
            Self::GithubDown => "see https://www.githubstatus.com; jobs start when GitHub answers again",
            Self::GithubLimited => {
                "calls go on when the limit ends; fewer control planes on one App leave more for each"
            }
            Self::RegistrationsRefused => {
                "check the set's runner group and where it registers (`runnersmith app check`), then `runnersmith reset-pause <set>`"
            }
            Self::HandOffNotStored => "check the permissions and limits of where hand-offs are stored, and its disk",
            Self::RegistrationsUnknown => {
                "nothing is removed meanwhile; where GitHub refuses, `runnersmith app check` says what the App lacks"
            }
            Self::MachinesUnknown => {
                "nothing is removed meanwhile; check the credentials and the network of this program"
            }
            Self::BootFailures => {
                "correct what the last one says (its runner's page has the machine's last lines), then `runnersmith reset-pause <set>`"
            }
            Self::Capacity => {
                "add machine types, zones or on-demand machines to the scale set's fallback order if it lasts"
            }
            Self::Quota => "ask AWS for a higher quota of running instances, or lower runners_max",
            Self::PermissionMissing => {
                "`runnersmith app check` says what the App lacks; grant it, and let the organisation accept it"
            }
            Self::RateLimitLow => {
                "lists and sweeps wait until the hour is over; fewer control planes on one App leave more for each"
            }
            Self::ClockWrong => "set this machine's clock by NTP; calls are signed by GitHub's time meanwhile",
            Self::NoDelivery => {
                "check the webhook's address, secret and events in GitHub, and its recent deliveries; sweeps find jobs minutes late"
            }
            Self::LeaseLost => {
                "see whether this process was stopped for long, or the ledger is slow; the next pass goes on"
            }
            Self::SettingsInvalid => {
                "correct the parameter that it names (Terraform writes it), then its set is in service again"
            }
            Self::CallBudget => "the next minute has a new one; raise [limits] if GitHub grants the App more",
            Self::SignatureRejected => "make the webhook's secret in GitHub and in the configuration the same",
            Self::DeliveryNotStored => "check the disk of the [store] directory, or the queue's permissions",
            Self::DeadLetters => "the log says what could not be read; the messages are kept in the dead-letter queue",
            Self::DiskFull => "make room: deliveries cannot be stored, nor machines started, when nothing is left",
            Self::RunnerOutdated => {
                "leave [local] runner_distribution out, so that the newest is fetched, or name a newer one; where the newest cannot be fetched the log says why"
            }
            Self::TaskFailing => "the log has the whole error; a panic is a defect, please report it",
            Self::ServerStopped => "start `runnersmith serve`, or see its service's log for why it ended",
            Self::Other => "use the newest program to read it",
        }
    }

    /// How long it counts after it was last seen, when nothing says that it is over.
    #[must_use]
    pub const fn lasts(self) -> Duration {
        match self {
            Self::SignatureRejected | Self::DeadLetters | Self::PermissionMissing | Self::ClockWrong => {
                Duration::from_secs(3_600)
            }
            // It is looked at four times a day.
            Self::RunnerOutdated => Duration::from_secs(7 * 3_600),
            _ => Duration::from_secs(600),
        }
    }

    /// So often in a row it must be seen before it counts: a single answer may be a coincidence.
    #[must_use]
    pub const fn counts_from(self) -> u32 {
        match self {
            Self::AppRefused | Self::LeaseLost => 2,
            Self::GithubDown => 5,
            _ => 1,
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What kind of thing.
    pub kind: FaultKind,
    /// What it is about: a scale set, a pool, a place in GitHub, a task; empty for the whole control plane.
    pub about: String,
    /// Why, in words; at most 300 characters. May hold foreign text: anyone who shows it escapes it.
    pub cause: String,
    /// Since when.
    pub since: Timestamp,
    /// When it was last seen.
    pub last_at: Timestamp,
    /// How often it was seen.
    pub count: u32,
    /// The runner whose page says more, if one does: the last one whose machine failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerName>,
}

impl Fault {
    /// A fault that is seen for the first time.
    #[must_use]
    pub fn new(kind: FaultKind, about: impl Into<String>, cause: impl Into<String>, now: Timestamp) -> Self {
        let cause = cause.into().chars().take(CAUSE_MAX).collect();
        Self { kind, about: about.into(), cause, since: now, last_at: now, count: 1, runner: None }
    }

    /// Seen so often.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self { count, ..self }
    }

    /// Seen for the first time then.
    #[must_use]
    pub fn since(self, since: Timestamp) -> Self {
        Self { since, ..self }
    }

    /// Whether it is the same fault, seen at another time.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.kind == other.kind && self.about == other.about
    }

    /// Since when and how often, for people: `for 4 min 10 s, 12 times`.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> String {
        let times = if self.count > 1 { format!(", {} times", self.count) } else { String::new() };
        format!("for {}{times}", duration(now.since(self.since)))
    }
}

impl Fault {
    /// All that is known of it on one line, as `status` prints it: what, since when, how often, and what to do.
    #[must_use]
    pub fn line(&self, now: Timestamp) -> String {
        format!("FAULT {self} ({}); {}", self.age(now), self.kind.fix())
    }
}

/// What and why, on one line; foreign text is escaped.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.about.is_empty() {
            write!(f, "{}: ", escaped(&self.about))?;
        }
        write!(f, "{}", escaped(&self.cause))
    }
}

/// The faults of now, at the moment `at`, where those that were there before keep their beginning. Where GitHub's registrations were not asked for
/// (`asked` is false), what was wrong with them a while before still is.
#[must_use]
pub fn carried_on(before: &[Fault], now: Vec<Fault>, asked: bool, at: Timestamp) -> Vec<Fault> {
    let begun = |fault: &Fault| before.iter().find(|old| old.is_same(fault)).map(|old| old.since);
    let is_kept =
        |old: &&Fault| old.kind == FaultKind::RegistrationsUnknown && at.since(old.last_at) < old.kind.lasts();
    let kept = before.iter().filter(|old| !asked && is_kept(old));
    let kept: Vec<Fault> = kept.filter(|old| !now.iter().any(|fault| fault.is_same(old))).cloned().collect();
    let now = now.into_iter().map(|fault| {
        let since = begun(&fault).map_or(fault.since, |since| since.min(fault.since));
        fault.since(since)
    });
    now.chain(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn a_fault_says_what_since_when_and_how_often_and_escapes_what_others_wrote() {
        let fault = Fault::new(FaultKind::Capacity, "spot c7a.large", "no capacity\u{1b}[2J", at(100)).times(3);
        assert_eq!(fault.to_string(), "spot c7a.large: no capacity\\u{1b}[2J");
        assert_eq!(fault.age(at(350)), "for 4 min 10 s, 3 times");
        assert_eq!(Fault::new(FaultKind::GithubDown, "", "502", at(0)).to_string(), "502");
        assert_eq!(Fault::new(FaultKind::GithubDown, "", "x".repeat(999), at(0)).cause.len(), CAUSE_MAX);
    }

    #[test]
    fn a_fault_that_goes_on_keeps_its_beginning_and_a_new_one_has_its_own() {
        let old = Fault::new(FaultKind::MachinesUnknown, "linux", "time-out", at(100));
        let new = vec![
            Fault::new(FaultKind::MachinesUnknown, "linux", "refused", at(160)),
            Fault::new(FaultKind::MachinesUnknown, "gpu", "refused", at(160)),
        ];
        let now = carried_on(&[old], new, true, at(400));
        assert_eq!(now.iter().map(|fault| fault.since).collect::<Vec<_>>(), [at(100), at(160)]);
        assert_eq!(now[0].cause, "refused", "the newest cause is said");
    }

    #[test]
    fn a_round_that_does_not_ask_for_registrations_does_not_end_their_fault() {
        let old = [
            Fault::new(FaultKind::RegistrationsUnknown, "linux, acme", "502", at(100)),
            Fault::new(FaultKind::MachinesUnknown, "linux", "time-out", at(100)),
        ];
        assert_eq!(carried_on(&old, Vec::new(), false, old[0].last_at), old[..1]);
        let later = old[0].last_at.plus(FaultKind::RegistrationsUnknown.lasts());
        assert_eq!(carried_on(&old, Vec::new(), false, later), [], "who does not ask cannot know that it lasts");
        assert_eq!(carried_on(&old, Vec::new(), true, old[0].last_at), []);
        let again = Fault::new(FaultKind::RegistrationsUnknown, "linux, acme", "503", at(160));
        let now = carried_on(&old, vec![again], false, old[0].last_at);
        assert_eq!((now.len(), now[0].cause.as_str(), now[0].since), (1, "503", at(100)));
    }

    #[test]
    fn what_a_newer_program_recorded_can_be_read() {
        let text = r#"{"kind":"moon_phase","about":"","cause":"full","since":1,"last_at":2,"count":1}"#;
        let fault: Fault = serde_json::from_str(text).unwrap();
        assert_eq!((fault.kind, fault.cause.as_str()), (FaultKind::Other, "full"));
    }
}
