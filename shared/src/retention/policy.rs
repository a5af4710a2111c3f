//! The immutable retention policy of a backup set.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The S3 Object Lock mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockMode {
    /// Nobody can delete or shorten, the account's root user included.
    Compliance,
    /// Whoever holds `s3:BypassGovernanceRetention` can delete. Not immutable; the console says so.
    Governance,
}

/// How long backups are locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// N: each snapshot is protected for this many days after the server had its commit.
    pub retention_days: u32,
    /// The lock mode.
    pub mode: LockMode,
    /// Q: how far a lock reaches beyond what is needed, in days, so that an object is touched once in Q days
    /// and not once per run.
    pub lock_ahead_days: u32,
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
        // N + Q + grace + the longest distance of two runs (31 days), twice over, stays below the cap.
        let lock_ahead_days = retention_days.clamp(1, 14);
        let policy = Self {
            retention_days,
            mode,
            lock_ahead_days,
            grace_hours: 24,
            lock_cap_days: retention_days
                .saturating_add(2 * lock_ahead_days + 62)
                .min(Self::MAX_DAYS),
        };
        policy.validate()?;
        Ok(policy)
    }

    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn validate(&self) -> Result<(), PolicyError> {
        let fields = [
            ("retention_days", self.retention_days, 1, Self::MAX_RETENTION_DAYS),
            ("lock_ahead_days", self.lock_ahead_days, 1, 3_650),
            ("grace_hours", self.grace_hours, 1, 24 * 90),
            (
                "lock_cap_days",
                self.lock_cap_days,
                self.retention_days,
                Self::MAX_DAYS,
            ),
        ];
        for (field, value, low, high) in fields {
            if !(low..=high).contains(&value) {
                return Err(PolicyError::OutOfRange {
                    field,
                    value,
                    low,
                    high,
                });
            }
        }
        Ok(())
    }

    /// Refuses a lock that would reach beyond the cap.
    ///
    /// # Errors
    /// [`PolicyError::BeyondCap`].
    pub fn within_cap(&self, now: Timestamp, retain_until: Timestamp) -> Result<(), PolicyError> {
        let ahead_secs = retain_until.duration_since(now).as_secs();
        if ahead_secs <= 86_400 * i64::from(self.lock_cap_days) {
            return Ok(());
        }
        let needed_days = ahead_secs.div_euclid(86_400) + i64::from(ahead_secs.rem_euclid(86_400) > 0);
        Err(PolicyError::BeyondCap {
            needed_days,
            cap_days: self.lock_cap_days,
        })
    }

    /// N as a duration.
    #[must_use]
    pub fn retention(&self) -> SignedDuration {
        SignedDuration::from_hours(24 * i64::from(self.retention_days))
    }

    /// Q as a duration.
    #[must_use]
    pub fn lock_ahead(&self) -> SignedDuration {
        SignedDuration::from_hours(24 * i64::from(self.lock_ahead_days))
    }

    /// The grace as a duration.
    #[must_use]
    pub fn grace(&self) -> SignedDuration {
        SignedDuration::from_hours(i64::from(self.grace_hours))
    }
}
