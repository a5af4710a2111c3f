//! Fields of an immutable retention policy. What is left empty has its usual value.

use super::{
    error::InputError,
    text::{bounded, whole_number},
};
use crate::{
    api::request::PolicyOptions,
    limits::Limit,
    retention::{LockAhead, LockMode, Period, Policy, Tier},
};

/// N, in days. It has no usual value.
///
/// # Errors
/// When it is no whole number or out of range; likewise below.
pub fn retention_days(typed: &str) -> Result<u32, InputError> {
    let days = whole_number("retention_days", typed, "Number of days", 90)?;
    match Policy::new(days, LockMode::Compliance) {
        Ok(_) => Ok(days),
        Err(error) => Err(InputError::new(error.field(), format!("{error}."))),
    }
}

/// The longer retention of the first snapshot of a period, in days; none when it is empty.
pub fn tier_days(typed: &str) -> Result<Option<u32>, InputError> {
    if typed.trim().is_empty() {
        return Ok(None);
    }
    let days = whole_number("tiers", typed, "Days to keep some backups longer", 365)?;
    let tier = Tier {
        every: Period::Year,
        retention_days: days,
    };
    allowed(|options| options.tiers.push(tier))?;
    Ok(Some(days))
}

/// How many of a source's newest snapshots never lapse.
pub fn keep_last(typed: &str) -> Result<u32, InputError> {
    if typed.trim().is_empty() {
        return Ok(PolicyOptions::default().keep_last);
    }
    let count = whole_number("keep_last", typed, "Newest backups that never lapse", 1)?;
    allowed(|options| options.keep_last = count)?;
    Ok(count)
}

/// Q: `auto`, or days.
pub fn lock_ahead(typed: &str) -> Result<LockAhead, InputError> {
    let typed = typed.trim();
    if typed.is_empty() || typed.eq_ignore_ascii_case("auto") {
        return Ok(LockAhead::Auto);
    }
    let days = typed.parse().map_err(|_| {
        InputError::new(
            "lock_ahead_days",
            "Look-ahead: write auto, or a whole number of days.",
        )
    })?;
    let ahead = LockAhead::Days(days);
    allowed(|options| options.lock_ahead = ahead)?;
    Ok(ahead)
}

/// How late a run may be, in hours.
pub fn grace_hours(typed: &str) -> Result<u32, InputError> {
    if typed.trim().is_empty() {
        return Ok(PolicyOptions::default().grace_hours);
    }
    let hours = whole_number("grace_hours", typed, "Hours that a run may be late", 24)?;
    allowed(|options| options.grace_hours = hours)?;
    Ok(hours)
}

/// The time zone in which periods begin.
pub fn time_zone(typed: &str) -> Result<String, InputError> {
    let typed = typed.trim();
    if typed.is_empty() {
        return Ok(PolicyOptions::default().time_zone);
    }
    bounded("time_zone", typed.len(), Limit::TimeZone)?;
    allowed(|options| typed.clone_into(&mut options.time_zone))?;
    Ok(typed.to_owned())
}

/// Refuses what a policy does not allow, whatever its other values are.
fn allowed(change: impl FnOnce(&mut PolicyOptions)) -> Result<(), InputError> {
    let mut options = PolicyOptions::default();
    change(&mut options);
    match options.policy(1, LockMode::Compliance) {
        Ok(_) => Ok(()),
        Err(error) => Err(InputError::new(error.field(), format!("{error}."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_fields_have_their_usual_values() {
        assert_eq!(tier_days(" "), Ok(None));
        assert_eq!(keep_last(""), Ok(1));
        assert_eq!(lock_ahead(" AUTO "), Ok(LockAhead::Auto));
        assert_eq!(grace_hours(""), Ok(24));
        assert_eq!(time_zone("").as_deref(), Ok("UTC"));
        assert_eq!(retention_days("").unwrap_err().field(), "retention_days");
    }

    #[test]
    fn ranges_are_those_of_the_policy() {
        let longest = Policy::MAX_RETENTION_DAYS;
        assert_eq!(retention_days(&longest.to_string()), Ok(longest));
        assert_eq!(tier_days(&longest.to_string()), Ok(Some(longest)));
        assert_eq!(keep_last("1000"), Ok(1_000));
        assert_eq!(lock_ahead("14"), Ok(LockAhead::Days(14)));
        assert_eq!(grace_hours("2160"), Ok(2_160));
        assert_eq!(time_zone(" Europe/Berlin ").as_deref(), Ok("Europe/Berlin"));
        let refused = [
            (retention_days("0").map(drop), "retention_days"),
            (
                retention_days(&(longest + 1).to_string()).map(drop),
                "retention_days",
            ),
            (tier_days("0").map(drop), "tiers.retention_days"),
            (tier_days("x").map(drop), "tiers"),
            (keep_last("0").map(drop), "keep_last"),
            (keep_last("1001").map(drop), "keep_last"),
            (lock_ahead("0").map(drop), "lock_ahead_days"),
            (lock_ahead("soon").map(drop), "lock_ahead_days"),
            (grace_hours("2161").map(drop), "grace_hours"),
            (time_zone("Mars").map(drop), "time_zone"),
        ];
        for (result, field) in refused {
            assert_eq!(result.unwrap_err().field(), field);
        }
    }
}
