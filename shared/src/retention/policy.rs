//! The immutable retention policy of a backup set.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::later;
use crate::time_zone;

/// The S3 Object Lock mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockMode {
    /// Nobody can delete or shorten, the account's root user included.
    Compliance,
    /// Whoever holds `s3:BypassGovernanceRetention` can delete. Not immutable; the console says so.
    Governance,
}

/// A period whose first complete snapshot may be kept longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// An hour by the clock on the wall; the two hours of an autumn night that bear one name are two.
    Hour,
    /// A calendar day.
    Day,
    /// An ISO 8601 week, Monday to Sunday.
    Week,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
}

impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        })
    }
}

/// A longer retention for the first complete snapshot of each period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// The period.
    pub every: Period,
    /// How long its snapshot is protected, in days from its `received_at`.
    pub retention_days: u32,
}

/// Q: how far a lock reaches beyond what is needed, so that an object is touched once in Q days and not at each run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockAhead {
    /// Reckoned for each source from its size, its churn and the provider's prices: [`Churn::lock_ahead_days`].
    ///
    /// [`Churn::lock_ahead_days`]: super::Churn::lock_ahead_days
    Auto,
    /// This many days.
    Days(u32),
}

impl Serialize for LockAhead {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Days(days) => serializer.serialize_u32(*days),
        }
    }
}

impl<'de> Deserialize<'de> for LockAhead {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = LockAhead;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"auto\" or a number of days")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<LockAhead, E> {
                match text {
                    "auto" => Ok(LockAhead::Auto),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_u64<E: de::Error>(self, days: u64) -> Result<LockAhead, E> {
                match u32::try_from(days) {
                    Ok(days) => Ok(LockAhead::Days(days)),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Unsigned(days), &self)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// How long backups are locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// N: each snapshot is protected for this many days after the server had its commit.
    pub retention_days: u32,
    /// The lock mode.
    pub mode: LockMode,
    /// The IANA time zone in which hours, days, weeks, months and years begin.
    pub time_zone: String,
    /// Longer retention for the first snapshots of periods; each period at most once.
    pub tiers: Vec<Tier>,
    /// How many of a source's newest complete snapshots never lapse, however long its agent is silent. At least 1.
    pub keep_last: u32,
    /// Q, in days.
    #[serde(rename = "lock_ahead_days")]
    pub lock_ahead: LockAhead,
    /// How late a run may be without a gap in protection, in hours.
    pub grace_hours: u32,
    /// No lock is ever set further ahead than this many days: a clock that jumps must not sign locks that
    /// cannot be taken back.
    pub lock_cap_days: u32,
}

/// What is wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A field is out of its range.
    #[error("{field}: {value} is out of range; use {low} to {high}")]
    OutOfRange {
        /// Which field.
        field: &'static str,
        /// What it held.
        value: u32,
        /// The smallest value allowed.
        low: u32,
        /// The largest value allowed.
        high: u32,
    },
    /// No such zone.
    #[error("time_zone: there is no time zone {0:?}; use an IANA name such as \"Europe/Berlin\"")]
    UnknownTimeZone(String),
    /// Two tiers for one period.
    #[error("tiers: {every} is named twice; give each period one retention")]
    DuplicateTier {
        /// The period.
        every: Period,
    },
    /// A lock that the policy needs would reach beyond its cap.
    #[error(
        "lock_cap_days: a lock would reach {needed_days} days ahead, the cap is {cap_days}; check the clocks, or raise the cap"
    )]
    BeyondCap {
        /// Days from now to the date asked for, rounded up.
        needed_days: i64,
        /// The policy's cap.
        cap_days: u32,
    },
}

impl PolicyError {
    /// The field that it is about.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::OutOfRange { field, .. } => field,
            Self::UnknownTimeZone(_) => "time_zone",
            Self::DuplicateTier { .. } => "tiers",
            Self::BeyondCap { .. } => "lock_cap_days",
        }
    }
}

impl Policy {
    /// The furthest that any lock may reach: 100 years, S3's own limit.
    /// Source: Amazon S3 API, `DefaultRetention` and `s3:object-lock-remaining-retention-days`.
    pub const MAX_DAYS: u32 = 36_500;

    /// The longest N: a lock reaches beyond it by grace, Q and the distance to the next run, and must still stay below
    /// S3's own limit.
    pub const MAX_RETENTION_DAYS: u32 = 36_400;

    /// A policy of `retention_days` with the usual values for the rest.
    ///
    /// # Errors
    /// When `retention_days` is 0 or above [`MAX_RETENTION_DAYS`](Self::MAX_RETENTION_DAYS).
    pub fn new(retention_days: u32, mode: LockMode) -> Result<Self, PolicyError> {
        // N, the largest Q that is chosen by itself, grace, and the longest distance of two runs (a month), twice over.
        let lock_cap_days = retention_days
            .saturating_add(2 * retention_days.clamp(31, 90) + 62)
            .min(Self::MAX_DAYS);
        let policy = Self {
            retention_days,
            mode,
            time_zone: "UTC".to_owned(),
            tiers: Vec::new(),
            keep_last: 1,
            lock_ahead: LockAhead::Auto,
            grace_hours: 24,
            lock_cap_days,
        };
        policy.validate()?;
        Ok(policy)
    }

    /// Checks every field of a new policy.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn validate(&self) -> Result<(), PolicyError> {
        self.validate_stored()?;
        match time_zone::iana(&self.time_zone) {
            Some(_) => Ok(()),
            None => Err(PolicyError::UnknownTimeZone(self.time_zone.clone())),
        }
    }

    /// Checks what a plan relies on. Less strict than [`Policy::validate`] about names of zones, so that locks under a
    /// policy that an earlier version accepted go on being extended.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn validate_stored(&self) -> Result<(), PolicyError> {
        in_range("retention_days", self.retention_days, 1, Self::MAX_RETENTION_DAYS)?;
        for (nth, tier) in self.tiers.iter().enumerate() {
            in_range(
                "tiers.retention_days",
                tier.retention_days,
                1,
                Self::MAX_RETENTION_DAYS,
            )?;
            if self.tiers[..nth].iter().any(|other| other.every == tier.every) {
                return Err(PolicyError::DuplicateTier { every: tier.every });
            }
        }
        in_range("keep_last", self.keep_last, 1, 1_000)?;
        if let LockAhead::Days(days) = self.lock_ahead {
            in_range("lock_ahead_days", days, 1, 3_650)?;
        }
        in_range("grace_hours", self.grace_hours, 1, 24 * 90)?;
        let longest = self.longest_retention_days();
        in_range("lock_cap_days", self.lock_cap_days, longest, Self::MAX_DAYS)?;
        self.zone().map(drop)
    }

    /// Refuses a lock that would reach beyond the cap.
    ///
    /// # Errors
    /// [`PolicyError::BeyondCap`].
    pub fn within_cap(&self, now: Timestamp, retain_until: Timestamp) -> Result<(), PolicyError> {
        let ahead_secs = retain_until.duration_since(now).as_secs();
        if retain_until <= self.latest_lock(now) {
            return Ok(());
        }
        let needed_days = ahead_secs.div_euclid(86_400) + i64::from(ahead_secs.rem_euclid(86_400) > 0);
        Err(PolicyError::BeyondCap {
            needed_days,
            cap_days: self.lock_cap_days,
        })
    }

    /// The furthest date that may be signed now, in whole seconds.
    #[must_use]
    pub fn latest_lock(&self, now: Timestamp) -> Timestamp {
        let whole = Timestamp::from_second(now.as_second()).unwrap_or(now);
        later(whole, days(self.lock_cap_days))
    }

    /// The longest that any snapshot is protected, in days.
    #[must_use]
    pub fn longest_retention_days(&self) -> u32 {
        let tiers = self.tiers.iter().map(|tier| tier.retention_days);
        tiers.fold(self.retention_days, u32::max)
    }

    /// The zone in which periods begin; also of a stored name that [`Policy::validate`] would refuse today.
    ///
    /// # Errors
    /// [`PolicyError::UnknownTimeZone`].
    pub fn zone(&self) -> Result<TimeZone, PolicyError> {
        time_zone::stored(&self.time_zone).ok_or_else(|| PolicyError::UnknownTimeZone(self.time_zone.clone()))
    }

    /// N as a duration.
    #[must_use]
    pub fn retention(&self) -> SignedDuration {
        days(self.retention_days)
    }

    /// The grace as a duration.
    #[must_use]
    pub fn grace(&self) -> SignedDuration {
        SignedDuration::from_hours(i64::from(self.grace_hours))
    }

    /// How often a source must be swept, at least: every half grace, once a day (design, "need"), and every half N: what never
    /// lapses is locked for N more days by a sweep, and must not unlock while the next one is still at work.
    #[must_use]
    pub fn sweep_every(&self) -> SignedDuration {
        let longest = SignedDuration::from_hours(24).min(self.retention() / 2);
        longest.min(self.grace() / 2)
    }
}

/// Days of 24 hours, as S3 counts them.
#[must_use]
pub fn days(count: u32) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(count))
}

fn in_range(field: &'static str, value: u32, low: u32, high: u32) -> Result<(), PolicyError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(PolicyError::OutOfRange {
        field,
        value,
        low,
        high,
    })
}
