//! Figures and dates in words. Pure: the same text on the server and in the browser.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use shared::retention::{LockAhead, Period, Policy};

pub use shared::words::{bytes, count, counted};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A period as an adjective: `weekly`.
pub const fn period(period: Period) -> &'static str {
    match period {
        Period::Hour => "hourly",
        Period::Day => "daily",
        Period::Week => "weekly",
        Period::Month => "monthly",
        Period::Year => "yearly",
    }
}

/// A policy's tiers: `weekly 365 days, yearly 2,555 days`.
pub fn tiers(policy: &Policy) -> String {
    let mut tiers = policy.tiers.clone();
    tiers.sort_by_key(|tier| tier.every);
    let texts: Vec<String> = tiers
        .iter()
        .map(|tier| {
            let days = counted(u64::from(tier.retention_days), "day", "days");
            format!("{} {days}", period(tier.every))
        })
        .collect();
    if texts.is_empty() {
        return "none".to_owned();
    }
    texts.join(", ")
}

/// How far locks reach beyond what is needed.
pub fn lock_ahead(lock_ahead: LockAhead) -> String {
    match lock_ahead {
        LockAhead::Auto => "automatic".to_owned(),
        LockAhead::Days(days) => counted(u64::from(days), "day", "days"),
    }
}

/// A date, with the time of day if given.
pub fn calendar(year: u32, month: u32, day: u32, time: Option<(u32, u32)>) -> String {
    let month = month
        .checked_sub(1)
        .and_then(|index| MONTHS.get(index as usize))
        .unwrap_or(&"?");
    match time {
        Some((hour, minute)) => format!("{day} {month} {year}, {hour:02}:{minute:02}"),
        None => format!("{day} {month} {year}"),
    }
}

/// An instant in UTC, to the minute: `23 Nov 2026, 19:04 UTC`.
pub fn utc(at: Timestamp) -> String {
    at.strftime("%-d %b %Y, %H:%M UTC").to_string()
}

/// The day of an instant in UTC: `23 Nov 2026`.
pub fn utc_day(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%-d %b %Y").to_string()
}

/// An instant to the second, for a hover: `2026-11-23 19:04:12 UTC`.
pub fn utc_exact(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// An instant for `<time datetime>`, without a fraction of a second.
pub fn machine(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// How far `at` is from `now`: `just now`, `2 min ago`, `in 3 days`.
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.duration_since(now).as_secs();
    let ahead = seconds > 0;
    let seconds = seconds.unsigned_abs();
    if seconds < 45 {
        return if ahead { "in a moment" } else { "just now" }.to_owned();
    }
    let distance = match seconds {
        ..5_400 => format!("{} min", (seconds + 30) / 60),
        5_400..129_600 => format!("{} h", (seconds + 1_800) / 3_600),
        _ => counted((seconds + 43_200) / 86_400, "day", "days"),
    };
    if ahead {
        format!("in {distance}")
    } else {
        format!("{distance} ago")
    }
}

/// How long nothing was heard: `40 s`, `3 min`, `2 h`. Rounded down to what moves slowly enough to be read.
pub fn silence(silent: SignedDuration) -> String {
    match silent.as_secs().max(0) {
        seconds @ ..120 => format!("{} s", seconds - seconds % 10),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

/// How long something took or takes: `8 s`, `3 min 20 s`, `2 h 05 min`.
pub fn duration(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().max(0);
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// Part of a whole in percent, never 100 before it is whole.
pub fn percent(part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return 0;
    }
    u64::try_from(u128::from(part.min(whole)) * 100 / u128::from(whole)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ts(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn times_in_words() {
        let now = ts("2026-11-23T12:00:00Z");
        assert_eq!(utc(now), "23 Nov 2026, 12:00 UTC");
        assert_eq!(machine(ts("2026-11-23T12:00:00.5Z")), "2026-11-23T12:00:00Z");
        assert_eq!(relative(ts("2026-11-23T11:59:50Z"), now), "just now");
        assert_eq!(relative(ts("2026-11-23T11:58:00Z"), now), "2 min ago");
        assert_eq!(relative(ts("2026-11-23T15:00:00Z"), now), "in 3 h");
        assert_eq!(relative(ts("2026-11-20T12:00:00Z"), now), "3 days ago");
        assert_eq!(duration(ts("2026-11-23T11:56:40Z"), now), "3 min 20 s");
        let silent = |seconds| silence(SignedDuration::from_secs(seconds));
        assert_eq!(
            [
                silent(47),
                silent(119),
                silent(120),
                silent(7_199),
                silent(90_000)
            ],
            ["40 s", "110 s", "2 min", "119 min", "25 h"]
        );
        assert_eq!(calendar(2026, 3, 7, Some((4, 5))), "7 Mar 2026, 04:05");
    }

    #[test]
    fn percent_is_whole_only_at_the_end() {
        assert_eq!(percent(999, 1_000), 99);
        assert_eq!(percent(1_000, 1_000), 100);
        assert_eq!(percent(5, 0), 0);
    }
}
