//! Maintenance windows: times at which another release may be rolled out. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};
use croner::Cron;
use easycode_crds::instance::Window;
use jiff::Timestamp;

/// Whether a change may be rolled out now: always, if there are no windows.
#[must_use]
pub fn is_open(windows: &[Window], now: Timestamp) -> bool {
    windows.is_empty() || windows.iter().any(|window| covers(window, now))
}

/// When the next window opens.
#[must_use]
pub fn next(windows: &[Window], now: Timestamp) -> Option<Timestamp> {
    let now = to_chrono(now)?;
    let opens = |window: &Window| parse(window)?.find_next_occurrence(&now, false).ok();
    windows.iter().filter_map(opens).min().and_then(|time| Timestamp::from_second(time.timestamp()).ok())
}

/// How long to sleep until the next window. A long sleep is taken in pieces, as clocks are set.
#[must_use]
pub fn until(windows: &[Window], now: Timestamp) -> Duration {
    let opens = next(windows, now).and_then(|opens| Duration::try_from(opens.duration_since(now)).ok());
    opens.unwrap_or(Duration::from_hours(1)).clamp(Duration::from_secs(1), Duration::from_hours(1))
}

/// A sentence for each schedule that no time ever matches.
#[must_use]
pub fn complaints(windows: &[Window]) -> Vec<String> {
    let never = |window: &&Window| next(std::slice::from_ref(window), Timestamp::UNIX_EPOCH).is_none();
    windows
        .iter()
        .filter(never)
        .map(|window| format!("maintenance window {:?} never opens; correct its schedule", window.schedule))
        .collect()
}

fn covers(window: &Window, now: Timestamp) -> bool {
    let (Some(cron), Some(now)) = (parse(window), to_chrono(now)) else { return false };
    let opened = cron.find_previous_occurrence(&now, true).ok();
    opened.is_some_and(|opened| {
        (now - opened).num_milliseconds() < i64::try_from(window.duration.millis()).unwrap_or(i64::MAX)
    })
}

fn parse(window: &Window) -> Option<Cron> {
    window.schedule.parse().ok()
}

fn to_chrono(time: Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.as_second(), 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sundays_at_two() -> Vec<Window> {
        serde_json::from_value(json!([{ "schedule": "0 2 * * SUN", "duration": "2h" }])).unwrap()
    }

    #[test]
    fn a_window_is_open_from_its_beginning_to_its_end() {
        let windows = sundays_at_two();
        for (time, open) in [
            ("2026-11-29T01:59:59Z", false),
            ("2026-11-29T02:00:00Z", true),
            ("2026-11-29T03:59:59Z", true),
            ("2026-11-29T04:00:00Z", false),
            ("2026-11-30T02:30:00Z", false),
        ] {
            assert_eq!(is_open(&windows, time.parse().unwrap()), open, "{time}");
        }
        let next = next(&windows, "2026-11-29T02:00:00Z".parse().unwrap());
        assert_eq!(next, Some("2026-12-06T02:00:00Z".parse().unwrap()));
    }

    #[test]
    fn without_windows_it_is_always_open() {
        assert!(is_open(&[], Timestamp::UNIX_EPOCH));
    }

    #[test]
    fn a_day_that_never_comes_is_told_of() {
        let never: Vec<Window> =
            serde_json::from_value(json!([{ "schedule": "0 0 31 2 *", "duration": "1h" }])).unwrap();
        assert_eq!(complaints(&never).len(), 1);
        assert_eq!(complaints(&sundays_at_two()).len(), 0);
    }
}
