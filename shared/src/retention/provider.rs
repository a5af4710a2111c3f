//! What the planner must know of an S3 provider: what it can do, and what it asks for it.

use serde::{Deserialize, Serialize};

use super::PolicyError;

/// How a provider keeps objects from being deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockStrategy {
    /// A retain-until date on each object version (S3 Object Lock).
    RetainUntil,
}

/// A provider's abilities and prices. Prices in US dollars; a GB is 10⁹ bytes, a month the twelfth part of 365 days.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// How it locks.
    pub strategy: LockStrategy,
    /// Whether the lock of a stored version can be moved to a later date.
    pub can_extend: bool,
    /// Each object is paid for at least so many days.
    pub min_storage_days: u32,
    /// PUT-class calls: PUT, `PutObjectRetention`, LIST.
    pub put_usd_per_1000: f64,
    /// GET-class calls: GET, HEAD.
    pub head_usd_per_1000: f64,
    /// Storage.
    pub storage_usd_per_gb_month: f64,
}

impl Provider {
    /// Amazon S3 Standard in us-east-1. Source: Amazon S3 pricing page, 2026.
    pub const AWS_STANDARD: Self = Self {
        strategy: LockStrategy::RetainUntil,
        can_extend: true,
        min_storage_days: 0,
        put_usd_per_1000: 0.005,
        head_usd_per_1000: 0.0004,
        storage_usd_per_gb_month: 0.023,
    };

    /// Checks the figures.
    ///
    /// # Errors
    /// Names the first that is out of range.
    pub fn validate(&self) -> Result<(), ProviderError> {
        let prices = [
            ("put_usd_per_1000", self.put_usd_per_1000),
            ("head_usd_per_1000", self.head_usd_per_1000),
            ("storage_usd_per_gb_month", self.storage_usd_per_gb_month),
        ];
        for (field, value) in prices {
            if !(0.0..=1_000_000.0).contains(&value) {
                return Err(ProviderError::Price { field, value });
            }
        }
        if self.min_storage_days > super::Policy::MAX_DAYS {
            return Err(ProviderError::Days(PolicyError::OutOfRange {
                field: "min_storage_days",
                value: self.min_storage_days,
                low: 0,
                high: super::Policy::MAX_DAYS,
            }));
        }
        Ok(())
    }

    /// One PUT-class call.
    #[must_use]
    pub fn put_usd(&self) -> f64 {
        self.put_usd_per_1000 / 1_000.0
    }

    /// One GET-class call.
    #[must_use]
    pub fn head_usd(&self) -> f64 {
        self.head_usd_per_1000 / 1_000.0
    }

    /// One refresh of one object: the new date, and the HEAD that confirms it.
    #[must_use]
    pub fn refresh_usd(&self) -> f64 {
        self.put_usd() + self.head_usd()
    }

    /// One GB for one day.
    #[must_use]
    pub fn storage_usd_per_gb_day(&self) -> f64 {
        self.storage_usd_per_gb_month * 12.0 / 365.0
    }
}

/// Bytes as GB of 10⁹.
#[must_use]
pub fn gb(bytes: u64) -> f64 {
    // 2^53 bytes are 9 PB; beyond it a price is off by less than it is rounded by.
    bytes as f64 / 1e9
}

/// What is wrong with a provider's figures.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProviderError {
    /// Not a price.
    #[error("{field}: {value} is not a price; use 0 to 1000000 dollars")]
    Price {
        /// Which.
        field: &'static str,
        /// What it held.
        value: f64,
    },
    /// Not a number of days.
    #[error(transparent)]
    Days(PolicyError),
}
