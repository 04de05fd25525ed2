//! The minimum of idle runners by schedule: the philips-labs module's cron entries and clear windows, in every time zone and across daylight saving.

use jiff::Zoned;
use jiff::tz::TimeZoneDatabase;
use runnersmith_plan::schedule::{ScheduleError, min_idle, validate};
use runnersmith_types::{Day, MinIdleEntry, Timestamp};

fn cron(cron: &str, time_zone: &str, count: u32) -> MinIdleEntry {
    MinIdleEntry::Cron { cron: cron.into(), time_zone: time_zone.into(), count }
}

fn window(days: &[Day], from: u16, to: u16, time_zone: &str) -> MinIdleEntry {
    MinIdleEntry::Window {
        days: days.to_vec(),
        from_minute: from,
        to_minute: to,
        time_zone: time_zone.into(),
        count: 1,
    }
}

/// A moment by its local time.
fn at(local: &str) -> Timestamp {
    Timestamp::from_millis(local.parse::<Zoned>().unwrap().timestamp().as_millisecond())
}

const WORK: &str = "* * 9-17 * * 1-5";

#[test]
fn the_seeds_form_is_active_in_its_hours_and_days() {
    let entries = [cron(WORK, "Europe/Amsterdam", 2)];
    for (local, wanted) in [
        ("2026-11-24T08:59:54[Europe/Amsterdam]", 0),
        ("2026-11-24T08:59:56[Europe/Amsterdam]", 2),
        ("2026-11-24T09:00:00[Europe/Amsterdam]", 2),
        ("2026-11-24T12:34:56[Europe/Amsterdam]", 2),
        ("2026-11-24T17:59:59[Europe/Amsterdam]", 2),
        ("2026-11-24T18:00:58[Europe/Amsterdam]", 2),
        ("2026-11-24T18:01:00[Europe/Amsterdam]", 0),
        ("2026-11-28T12:00:00[Europe/Amsterdam]", 0),
    ] {
        assert_eq!(min_idle(&entries, at(local)), wanted, "{local}");
    }
}

#[test]
fn sunday_is_seven_and_zero() {
    for days in ["6-7", "6,0", "SAT-SUN"] {
        let entries = [cron(&format!("* * 9-17 * * {days}"), "UTC", 1)];
        let of = |day: &str| min_idle(&entries, at(&format!("{day}T12:00:00[UTC]")));
        // A Friday to a Monday.
        let found = ["2026-11-27", "2026-11-28", "2026-11-29", "2026-11-30"].map(of);
        assert_eq!(found, [0, 1, 1, 0], "{days}");
    }
}

#[test]
fn the_first_active_entry_counts() {
    let entries = [cron(WORK, "UTC", 5), cron("* * * * * *", "UTC", 1)];
    assert_eq!(min_idle(&entries, at("2026-11-24T10:00:00[UTC]")), 5);
    assert_eq!(min_idle(&entries, at("2026-11-24T03:00:00[UTC]")), 1);
    assert_eq!(min_idle(&[], at("2026-11-24T03:00:00[UTC]")), 0);
}

#[test]
fn five_fields_are_refused_with_the_six_that_are_meant() {
    let error = validate(&cron("* 9-17 * * 1-5", "UTC", 1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cron \"* 9-17 * * 1-5\" has five fields; six are needed, seconds first: \"* * 9-17 * * 1-5\""
    );
}

#[test]
fn what_is_not_valid_is_refused_and_never_active() {
    let bad = [
        cron("nonsense", "UTC", 9),
        cron("* * 25 * * *", "UTC", 9),
        cron("* * 9-17 * * 1-5 *  * *", "UTC", 9),
        cron(WORK, "Mars/Olympus", 9),
        cron(WORK, "", 9),
        window(&[], 0, 1440, "UTC"),
        window(&[], 0, 60, "Nowhere"),
    ];
    for entry in bad {
        assert!(validate(&entry).is_err(), "{entry:?}");
        assert_eq!(min_idle(std::slice::from_ref(&entry), at("2026-11-24T10:30:00[UTC]")), 0, "{entry:?}");
    }
    assert!(matches!(validate(&cron(WORK, "Mars/Olympus", 9)), Err(ScheduleError::TimeZone { .. })));
    assert!(validate(&cron(WORK, "Europe/Berlin", 9)).is_ok());
}

#[test]
fn a_window_begins_and_ends_on_the_minute() {
    let entries = [window(&[Day::Tue], 8 * 60, 18 * 60, "Europe/Berlin")];
    for (local, wanted) in [
        ("2026-11-24T07:59:59[Europe/Berlin]", 0),
        ("2026-11-24T08:00:00[Europe/Berlin]", 1),
        ("2026-11-24T17:59:59[Europe/Berlin]", 1),
        ("2026-11-24T18:00:00[Europe/Berlin]", 0),
        ("2026-11-25T12:00:00[Europe/Berlin]", 0),
    ] {
        assert_eq!(min_idle(&entries, at(local)), wanted, "{local}");
    }
}

#[test]
fn a_window_past_midnight_belongs_to_the_day_on_which_it_begins() {
    let entries = [window(&[Day::Fri], 22 * 60, 6 * 60, "America/New_York")];
    for (local, wanted) in [
        ("2026-11-27T21:59:59[America/New_York]", 0),
        ("2026-11-27T22:00:00[America/New_York]", 1),
        ("2026-11-28T05:59:59[America/New_York]", 1),
        ("2026-11-28T06:00:00[America/New_York]", 0),
        ("2026-11-28T23:00:00[America/New_York]", 0),
        ("2026-11-27T03:00:00[America/New_York]", 0),
    ] {
        assert_eq!(min_idle(&entries, at(local)), wanted, "{local}");
    }
    let whole_day = [window(&[Day::Fri], 0, 0, "UTC")];
    assert_eq!(min_idle(&whole_day, at("2026-11-27T00:00:00[UTC]")), 1);
    assert_eq!(min_idle(&whole_day, at("2026-11-27T23:59:59[UTC]")), 1);
    assert_eq!(min_idle(&whole_day, at("2026-11-28T00:00:00[UTC]")), 0);
}

#[test]
fn local_hours_hold_when_the_clock_changes() {
    // 29 March 2026, 02:00 → 03:00; 25 October 2026, 03:00 → 02:00 in Berlin.
    let entries = [cron("* * 9-17 * * *", "Europe/Berlin", 1)];
    for day in ["2026-03-28", "2026-03-29", "2026-03-30", "2026-10-24", "2026-10-25", "2026-10-26"] {
        assert_eq!(min_idle(&entries, at(&format!("{day}T08:30:00[Europe/Berlin]"))), 0, "{day}");
        assert_eq!(min_idle(&entries, at(&format!("{day}T09:30:00[Europe/Berlin]"))), 1, "{day}");
        assert_eq!(min_idle(&entries, at(&format!("{day}T17:30:00[Europe/Berlin]"))), 1, "{day}");
        assert_eq!(min_idle(&entries, at(&format!("{day}T18:30:00[Europe/Berlin]"))), 0, "{day}");
    }
    let night = [window(&[], 2 * 60, 3 * 60, "Europe/Berlin")];
    let minutes = |begin: &str| {
        let begin = at(begin);
        (0..8 * 60).filter(|minute| min_idle(&night, Timestamp(begin.0 + minute * 60_000)) == 1).count()
    };
    assert_eq!(minutes("2026-03-28T00:00:00[Europe/Berlin]"), 60, "an ordinary night");
    assert_eq!(minutes("2026-03-29T00:00:00[Europe/Berlin]"), 0, "the hour that is left out");
    assert_eq!(minutes("2026-10-25T00:00:00[Europe/Berlin]"), 120, "the hour that comes twice");
}

#[test]
fn every_time_zone_agrees_with_its_own_local_time() {
    let zones = TimeZoneDatabase::bundled();
    let mut count = 0;
    for name in zones.available() {
        let zone = zones.get(name.as_str()).unwrap();
        let hours = [window(&[], 9 * 60, 17 * 60, name.as_str()), cron("* * 18 * * *", name.as_str(), 2)];
        hours.iter().for_each(|entry| validate(entry).unwrap());
        // Around both changes of the year, and in ordinary times; half and quarter hours too.
        for base in ["2026-01-15T00:30:00Z", "2026-03-29T00:45:00Z", "2026-07-01T12:00:00Z", "2026-10-25T01:15:00Z"] {
            let base: jiff::Timestamp = base.parse().unwrap();
            for step in 0..24 {
                let moment = base.checked_add(jiff::SignedDuration::from_mins(step * 61)).unwrap();
                let local = moment.to_zoned(zone.clone());
                let now = Timestamp::from_millis(moment.as_millisecond());
                let in_window = (9..17).contains(&local.hour());
                assert_eq!(min_idle(&hours[..1], now) == 1, in_window, "{name} {local}");
                // One minute behind and five seconds ahead belong to a cron entry too.
                let edge = local.minute() == 0 || local.minute() == 59;
                if !edge {
                    assert_eq!(min_idle(&hours[1..], now) == 2, local.hour() == 18, "{name} {local}");
                }
            }
        }
        count += 1;
    }
    assert!(count > 500, "the bundled database has {count} zones");
}
