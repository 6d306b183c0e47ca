//! Time windows that raise the bounds of a service: more replicas before the shop opens, a
//! higher maximum on sale day. A window begins and ends by cron expressions in a time zone.
//!
//! ```
//! use autoscaler::{scaling::Bounds, schedule::{self, Schedule}};
//!
//! let text = "start=0 8 * * 1-5; end=0 18 * * 1-5; timezone=Europe/Berlin; minimum=5";
//! let office = Schedule::parse("office", text)?;
//! let monday_nine_in_berlin = 1_799_049_600_000; // 2027-01-04 08:00 UTC
//! let (bounds, active) = schedule::raise(Bounds::default(), &[office], monday_nine_in_berlin);
//! assert_eq!((bounds.min(), bounds.max(), active), (5, 10, vec!["office".to_owned()]));
//! # Ok::<(), String>(())
//! ```

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

use crate::scaling::{Bounds, policy::MOST_REPLICAS};

/// What may be written, for the error messages.
const ALLOWED: &str = "start=CRON; end=CRON; timezone=AREA/CITY; minimum=N; maximum=N (without a time zone it is UTC, one of the numbers may be missing)";

/// One window.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    name: String,
    start: Cron,
    end: Cron,
    zone: Tz,
    min: Option<u64>,
    max: Option<u64>,
}

impl Schedule {
    /// A window from the value of its label; the error says what is wrong with it.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut fields = BTreeMap::new();
        for field in text.split(';').map(str::trim).filter(|field| !field.is_empty()) {
            let (key, value) = field.split_once('=').ok_or_else(|| format!("`{field}`: allowed is {ALLOWED}"))?;
            if fields.insert(key.trim(), value.trim()).is_some() {
                return Err(format!("`{}` is there twice", key.trim()));
            }
        }
        let start = cron(&mut fields, "start")?;
        let end = cron(&mut fields, "end")?;
        let zone = fields.remove("timezone").map_or(Ok(Tz::UTC), |zone| {
            zone.parse().map_err(|_| format!("timezone={zone}: allowed is a name like Europe/Berlin"))
        })?;
        let (min, max) = (count(&mut fields, "minimum")?, count(&mut fields, "maximum")?);
        if let Some(unknown) = fields.keys().next() {
            return Err(format!("`{unknown}` is not known: allowed is {ALLOWED}"));
        }
        if min.is_none() && max.is_none() {
            return Err(format!("neither minimum nor maximum: allowed is {ALLOWED}"));
        }
        Ok(Self { name: name.to_owned(), start, end, zone, min, max })
    }

    /// Whether its last start is more recent than its last end.
    fn is_active(&self, now: DateTime<Utc>) -> bool {
        let now = now.with_timezone(&self.zone);
        let Some(start) = last(&self.start, now) else { return false };
        // Both fell into the hour that is left out in spring: then it is as it was before.
        let moment = if last(&self.end, now) == Some(start) { start - CHANGE } else { now };
        last(&self.start, moment).is_some_and(|start| last(&self.end, moment).is_none_or(|end| start > end))
    }
}

/// Longer than any hour that clocks leave out or show twice.
const CHANGE: TimeDelta = TimeDelta::hours(3);

/// The newest occurrence until `now`. What falls into an hour that is left out comes after it;
/// in one that is shown twice only the first time counts.
fn last(cron: &Cron, now: DateTime<Tz>) -> Option<DateTime<Tz>> {
    let mut last = cron.find_previous_occurrence(&now, true).ok()?;
    // Backwards it goes by what a clock shows, and misses what was shown before in such an hour.
    while let Some(next) = cron.find_next_occurrence(&last, false).ok().filter(|next| *next <= now) {
        last = next;
    }
    Some(last)
}

fn cron(fields: &mut BTreeMap<&str, &str>, key: &str) -> Result<Cron, String> {
    let text = fields.remove(key).ok_or_else(|| format!("no `{key}`: allowed is {ALLOWED}"))?;
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron = parser.parse(text).map_err(|error| format!("{key}={text}: {error}"))?;
    // The thirtieth of February never comes.
    cron.find_next_occurrence(&DateTime::UNIX_EPOCH, true).map_err(|_| format!("{key}={text}: never happens"))?;
    Ok(cron)
}

fn count(fields: &mut BTreeMap<&str, &str>, key: &str) -> Result<Option<u64>, String> {
    let Some(text) = fields.remove(key) else { return Ok(None) };
    let count = text.parse().ok().filter(|count| (1..=MOST_REPLICAS).contains(count));
    count.map(Some).ok_or_else(|| format!("{key}={text}: allowed is a whole number from 1 to {MOST_REPLICAS}"))
}

/// The bounds with the windows of this moment, and the names of these. A window only raises; a
/// minimum above the maximum lifts that too.
#[must_use]
pub fn raise(base: Bounds, schedules: &[Schedule], now_ms: u64) -> (Bounds, Vec<String>) {
    let now = i64::try_from(now_ms).ok().and_then(DateTime::from_timestamp_millis);
    let active: Vec<_> = schedules.iter().filter(|schedule| now.is_some_and(|now| schedule.is_active(now))).collect();
    let highest = |pick: fn(&Schedule) -> Option<u64>, base| active.iter().filter_map(|s| pick(s)).fold(base, u64::max);
    let min = highest(|schedule| schedule.min, base.min());
    let max = highest(|schedule| schedule.max, base.max()).max(min);
    let names = active.iter().map(|schedule| schedule.name.clone()).collect();
    (Bounds::new(min, max).unwrap_or(base), names)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> u64 {
        u64::try_from(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()).unwrap()
    }

    fn bounds(schedules: &[&str], now: &str) -> (u64, u64, usize) {
        let schedules: Vec<_> = schedules.iter().map(|text| Schedule::parse("s", text).unwrap()).collect();
        let (bounds, active) = raise(Bounds::new(2, 10).unwrap(), &schedules, at(now));
        (bounds.min(), bounds.max(), active.len())
    }

    #[test]
    fn a_window_raises_from_its_start_to_its_end_in_its_time_zone() {
        let office = ["start=0 8 * * 1-5; end=0 18 * * 1-5; timezone=Europe/Berlin; minimum=5"];
        for (now, min) in [
            ("2027-01-04T06:59:59Z", 2),
            ("2027-01-04T07:00:00Z", 5),
            ("2027-01-04T16:59:59Z", 5),
            ("2027-01-04T17:00:00Z", 2),
            // Saturday.
            ("2027-01-09T09:00:00Z", 2),
            // Summer time: an hour earlier in UTC.
            ("2027-07-05T06:00:00Z", 5),
            ("2027-07-05T05:59:59Z", 2),
        ] {
            assert_eq!(bounds(&office, now).0, min, "{now}");
        }
    }

    #[test]
    fn a_window_over_midnight_and_the_weekend_lasts() {
        let night = ["start=0 22 * * 5; end=0 6 * * 1; maximum=20"];
        assert_eq!(bounds(&night, "2027-01-08T22:00:00Z"), (2, 20, 1));
        assert_eq!(bounds(&night, "2027-01-10T12:00:00Z"), (2, 20, 1));
        assert_eq!(bounds(&night, "2027-01-11T06:00:00Z"), (2, 10, 0));
    }

    /// Minimum by the time of day in UTC, each until the next.
    fn day(schedule: &str, day: &str, expected: &[(&str, u64)]) {
        for minute in (0..1_440).step_by(15) {
            let time = format!("{:02}:{:02}", minute / 60, minute % 60);
            let min = expected.iter().rev().find(|(from, _)| *from <= time.as_str()).unwrap().1;
            assert_eq!(bounds(&[schedule], &format!("{day}T{time}:00Z")).0, min, "{schedule}, {day} {time}");
        }
    }

    #[test]
    fn windows_hold_on_the_days_on_which_clocks_change() {
        // In spring Berlin's clocks go from 02:00 to 03:00, which is 01:00 in UTC.
        let spring = |window: &str, expected: &[(&str, u64)]| {
            day(&format!("{window}; timezone=Europe/Berlin; minimum=5"), "2027-03-28", expected);
        };
        spring("start=30 2 * * *; end=0 4 * * *", &[("00:00", 2), ("01:00", 5), ("02:00", 2)]);
        spring("start=0 1 * * *; end=30 2 * * *", &[("00:00", 5), ("01:00", 2), ("23:00", 5)]);
        spring("start=15 2 * * *; end=45 2 * * *", &[("00:00", 2)]);
        spring("start=45 2 * * *; end=15 2 * * *", &[("00:00", 5)]);
        // In autumn from 03:00 back to 02:00, again at 01:00 in UTC.
        let autumn = |window: &str, expected: &[(&str, u64)]| {
            day(&format!("{window}; timezone=Europe/Berlin; minimum=5"), "2027-10-31", expected);
        };
        autumn("start=30 2 * * *; end=0 4 * * *", &[("00:00", 2), ("00:30", 5), ("03:00", 2)]);
        autumn("start=0 1 * * *; end=30 2 * * *", &[("00:00", 5), ("00:30", 2)]);
        autumn("start=0 22 * * *; end=0 6 * * *", &[("00:00", 5), ("05:00", 2), ("21:00", 5)]);
        // In Cairo at midnight: a Friday that begins at one.
        let cairo = "start=0 0 * * 5; end=0 0 * * 6; timezone=Africa/Cairo; minimum=5";
        day(cairo, "2027-04-29", &[("00:00", 2), ("22:00", 5)]);
        day(cairo, "2027-04-30", &[("00:00", 5), ("21:00", 2)]);
    }

    #[test]
    fn a_window_that_begins_when_it_ends_is_none() {
        day("start=0 8 * * *; end=0 8 * * *; minimum=5", "2027-05-05", &[("00:00", 2)]);
        day("start=* * * * *; end=* * * * *; minimum=5", "2027-05-05", &[("00:00", 2)]);
    }

    #[test]
    fn windows_only_raise_and_the_highest_wins() {
        let always = |bound: &str| format!("start=0 0 * * *; end=0 0 1 1 *; {bound}");
        let (low, high, huge) = (always("minimum=1; maximum=3"), always("minimum=4"), always("minimum=12"));
        assert_eq!(bounds(&[&low, &high], "2027-05-05T05:05:05Z"), (4, 10, 2));
        assert_eq!(bounds(&[&huge], "2027-05-05T05:05:05Z"), (12, 12, 1));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, word) in [
            ("", "no `start`"),
            ("start=0 8 * * *", "no `end`"),
            ("start=8:00; end=0 18 * * *; minimum=3", "start=8:00"),
            ("start=0 0 30 2 *; end=0 18 * * *; minimum=3", "never happens"),
            ("start=0 0 8 * * *; end=0 18 * * *; minimum=3", "start=0 0 8"),
            ("start=0 8 * * *; end=0 18 * * *", "neither minimum nor maximum"),
            ("start=0 8 * * *; end=0 18 * * *; minimum=0", "minimum=0: allowed"),
            ("start=0 8 * * *; end=0 18 * * *; minimum=3; timezone=Berlin", "timezone=Berlin"),
            ("start=0 8 * * *; end=0 18 * * *; min=3", "`min` is not known"),
            ("start=0 8 * * *; start=0 9 * * *", "twice"),
            ("weekdays", "`weekdays`: allowed is"),
        ] {
            let error = Schedule::parse("s", text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn nonsense_and_any_time_never_panic(text in ".{0,60}", minute in 0..60, hour in 0..24, now_ms in any::<u64>()) {
            let _ = Schedule::parse("s", &text);
            let text = format!("start={minute} {hour} * * *; end=0 0 * * *; minimum=7; timezone=America/New_York");
            let (bounds, _) = raise(Bounds::default(), &[Schedule::parse("s", &text).unwrap()], now_ms);
            prop_assert!(bounds.min() >= 2 && bounds.max() == 10);
        }
    }
}
