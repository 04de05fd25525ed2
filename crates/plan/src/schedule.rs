//! The schedule of the minimum of idle runners: pure, by the bundled time-zone database, so that no machine's settings change a decision.

use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds};
use jiff::civil::Weekday;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use runnersmith_types::{Day, MinIdleEntry, Timestamp};

/// A cron entry is active if it fires in (now − this, now + [`AHEAD`]].
const BEHIND: Duration = Duration::from_secs(60);
/// A little ahead, so that a pass just before the minute does not flap.
const AHEAD: Duration = Duration::from_secs(5);

/// What is wrong with a schedule entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Five fields.
    #[error("cron {given:?} has five fields; six are needed, seconds first: \"* {given}\"")]
    FiveFields {
        /// What was given.
        given: String,
    },
    /// Not a cron.
    #[error("cron {given:?} is not valid: {why}")]
    Cron {
        /// What was given.
        given: String,
        /// Why.
        why: String,
    },
    /// Not a time zone.
    #[error("time zone {given:?} is not known; an IANA name is needed, such as Europe/Berlin or UTC")]
    TimeZone {
        /// What was given.
        given: String,
    },
    /// Not a minute of a day.
    #[error("a window's time is minute {given} of the day; at most 1439 (23:59) is allowed")]
    Minute {
        /// What was given.
        given: u16,
    },
}

/// Checks an entry.
///
/// # Errors
/// When its cron, zone or times are not valid; the text says what is allowed.
pub fn validate(entry: &MinIdleEntry) -> Result<(), ScheduleError> {
    match entry {
        MinIdleEntry::Cron { cron, time_zone, .. } => {
            parse(cron)?;
            zone(time_zone).map(|_| ())
        }
        MinIdleEntry::Window { from_minute, to_minute, time_zone, .. } => {
            for given in [*from_minute, *to_minute] {
                if given >= 24 * 60 {
                    return Err(ScheduleError::Minute { given });
                }
            }
            zone(time_zone).map(|_| ())
        }
    }
}

/// The minimum of idle runners now: the first active entry's count; none: zero. An entry that is not valid is never active.
#[must_use]
pub fn min_idle(entries: &[MinIdleEntry], now: Timestamp) -> u32 {
    entries.iter().find(|entry| active(entry, now)).map_or(0, count)
}

const fn count(entry: &MinIdleEntry) -> u32 {
    match entry {
        MinIdleEntry::Cron { count, .. } | MinIdleEntry::Window { count, .. } => *count,
    }
}

fn zone(name: &str) -> Result<TimeZone, ScheduleError> {
    TimeZoneDatabase::bundled().get(name).map_err(|_| ScheduleError::TimeZone { given: name.to_owned() })
}

fn parse(cron: &str) -> Result<Cron, ScheduleError> {
    if cron.split_whitespace().count() == 5 {
        return Err(ScheduleError::FiveFields { given: cron.to_owned() });
    }
    CronParser::builder()
        .seconds(Seconds::Required)
        .build()
        .parse(cron)
        .map_err(|error| ScheduleError::Cron { given: cron.to_owned(), why: error.to_string() })
}

fn active(entry: &MinIdleEntry, now: Timestamp) -> bool {
    match entry {
        MinIdleEntry::Cron { cron, time_zone, .. } => {
            let (Ok(cron), Ok(zone)) = (parse(cron), zone(time_zone)) else { return false };
            // The window has 65 whole seconds: each is asked, which needs no search and so no bound on one.
            let first = now.minus(BEHIND).as_secs() + 1;
            let last = now.plus(AHEAD).as_secs();
            (first..=last).any(|second| {
                jiff::Timestamp::from_second(second)
                    .is_ok_and(|at| cron.is_time_matching(&jiff::Zoned::new(at, zone.clone())).unwrap_or(false))
            })
        }
        MinIdleEntry::Window { days, from_minute, to_minute, time_zone, .. } => {
            if validate(entry).is_err() {
                return false;
            }
            let (Ok(zone), Ok(at)) = (zone(time_zone), jiff::Timestamp::from_millisecond(now.as_millis())) else {
                return false;
            };
            let local = jiff::Zoned::new(at, zone);
            let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or(0);
            let today = day(local.weekday());
            let begins_on = |day: Day| days.is_empty() || days.contains(&day);
            if from_minute < to_minute {
                begins_on(today) && (*from_minute..*to_minute).contains(&minute)
            } else {
                (begins_on(today) && minute >= *from_minute) || (begins_on(before(today)) && minute < *to_minute)
            }
        }
    }
}

const fn day(weekday: Weekday) -> Day {
    match weekday {
        Weekday::Monday => Day::Mon,
        Weekday::Tuesday => Day::Tue,
        Weekday::Wednesday => Day::Wed,
        Weekday::Thursday => Day::Thu,
        Weekday::Friday => Day::Fri,
        Weekday::Saturday => Day::Sat,
        Weekday::Sunday => Day::Sun,
    }
}

const fn before(day: Day) -> Day {
    match day {
        Day::Mon => Day::Sun,
        Day::Tue => Day::Mon,
        Day::Wed => Day::Tue,
        Day::Thu => Day::Wed,
        Day::Fri => Day::Thu,
        Day::Sat => Day::Fri,
        Day::Sun => Day::Sat,
    }
}
