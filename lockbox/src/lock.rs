//! Object Lock: the rules, without storage or HTTP.
//!
//! Sources: AWS, "How S3 Object Lock works"
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html> and "Object Lock
//! considerations" <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html>.

use s3s::dto::{
    ObjectLockLegalHoldStatus, ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode, Timestamp,
};
use s3s::{S3Error, S3Result, s3_error};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::clock::Millis;

/// The longest lock that lockbox sets. AWS limits default periods to 36,500 days ("Object Lock
/// quotas"); lockbox limits explicit dates too, since a COMPLIANCE lock by mistake cannot be undone.
const LONGEST_DAYS: i32 = 36_500;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    Governance,
    Compliance,
}

/// The end of a retention, in whole seconds since 1970 as AWS keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Until(i64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Retention {
    pub(crate) mode: Mode,
    pub(crate) until: Until,
}

/// The lock of one version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LockState {
    pub(crate) retention: Option<Retention>,
    /// `None`: never set, which AWS tells apart from OFF.
    pub(crate) legal_hold: Option<bool>,
}

/// What a bucket gives to new versions that bring no retention of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DefaultRetention {
    pub(crate) mode: Mode,
    pub(crate) period: Period,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Period {
    Days(i32),
    Years(i32),
}

pub(crate) fn protected() -> S3Error {
    s3_error!(
        AccessDenied,
        "Access Denied because object protected by object lock."
    )
}

pub(crate) fn bucket_without_lock() -> S3Error {
    s3_error!(InvalidRequest, "Bucket is missing Object Lock Configuration")
}

impl Mode {
    pub(crate) fn parse(text: &str) -> S3Result<Self> {
        match text {
            "GOVERNANCE" => Ok(Self::Governance),
            "COMPLIANCE" => Ok(Self::Compliance),
            _ => Err(s3_error!(InvalidArgument, "Unknown wormMode directive.")),
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }

    pub(crate) fn header(self) -> ObjectLockMode {
        ObjectLockMode::from_static(self.text())
    }

    pub(crate) fn element(self) -> ObjectLockRetentionMode {
        ObjectLockRetentionMode::from_static(self.text())
    }
}

impl Until {
    /// A date that a client asks for: fractions are cut off, and what then remains must be ahead.
    fn asked(at: &Timestamp, now: Millis) -> S3Result<Self> {
        let at = OffsetDateTime::from(at.clone()).unix_timestamp();
        if at.saturating_mul(1000) <= now.get() {
            return Err(s3_error!(
                InvalidArgument,
                "The retain until date must be in the future!"
            ));
        }
        if at > (now.offset() + Duration::days(i64::from(LONGEST_DAYS) + 1)).unix_timestamp() {
            return Err(s3_error!(
                InvalidArgument,
                "The retain until date must be within 36500 days"
            ));
        }
        Ok(Self(at))
    }

    fn is_ahead(self, now: Millis) -> bool {
        self.0.saturating_mul(1000) > now.get()
    }

    pub(crate) fn timestamp(self) -> Timestamp {
        OffsetDateTime::from_unix_timestamp(self.0)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
            .into()
    }
}

impl Retention {
    /// From the headers of a PUT, a copy or a multipart upload: both or none.
    pub(crate) fn from_headers(
        mode: Option<&ObjectLockMode>,
        until: Option<&Timestamp>,
        now: Millis,
    ) -> S3Result<Option<Self>> {
        match (mode, until) {
            (None, None) => Ok(None),
            (Some(mode), Some(until)) => Ok(Some(Self {
                mode: Mode::parse(mode.as_str())?,
                until: Until::asked(until, now)?,
            })),
            _ => Err(s3_error!(
                InvalidArgument,
                "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
            )),
        }
    }

    /// From the body of PutObjectRetention: an empty element asks for removal.
    pub(crate) fn from_element(element: &ObjectLockRetention, now: Millis) -> S3Result<Option<Self>> {
        match (&element.mode, &element.retain_until_date) {
            (None, None) => Ok(None),
            (Some(mode), Some(until)) => {
                let mode = Mode::parse(mode.as_str()).map_err(|_| s3_error!(MalformedXML))?;
                Ok(Some(Self {
                    mode,
                    until: Until::asked(until, now)?,
                }))
            }
            _ => Err(s3_error!(MalformedXML)),
        }
    }

    fn is_active(&self, now: Millis) -> bool {
        self.until.is_ahead(now)
    }
}

impl LockState {
    /// Whether the version may be deleted or overwritten now.
    pub(crate) fn check_delete(&self, now: Millis, bypass: bool) -> S3Result<()> {
        if self.legal_hold == Some(true) {
            return Err(protected());
        }
        match self.retention.filter(|r| r.is_active(now)) {
            None => Ok(()),
            Some(Retention {
                mode: Mode::Governance,
                ..
            }) if bypass => Ok(()),
            Some(_) => Err(protected()),
        }
    }

    /// Whether the retention may become `new` now. An active COMPLIANCE lock only ever gets longer.
    /// An active GOVERNANCE lock gets longer freely; anything else, a change of mode too, needs the
    /// bypass.
    pub(crate) fn check_retention(&self, new: Option<Retention>, now: Millis, bypass: bool) -> S3Result<()> {
        let Some(old) = self.retention.filter(|r| r.is_active(now)) else {
            return Ok(());
        };
        let longer = new.is_some_and(|new| new.mode == old.mode && new.until >= old.until);
        match old.mode {
            _ if longer => Ok(()),
            Mode::Governance if bypass => Ok(()),
            _ => Err(protected()),
        }
    }

    pub(crate) fn mode_header(&self) -> Option<ObjectLockMode> {
        self.retention.map(|r| r.mode.header())
    }

    pub(crate) fn until_header(&self) -> Option<Timestamp> {
        self.retention.map(|r| r.until.timestamp())
    }

    pub(crate) fn hold_header(&self) -> Option<ObjectLockLegalHoldStatus> {
        self.legal_hold.map(hold_status)
    }
}

pub(crate) fn hold_status(on: bool) -> ObjectLockLegalHoldStatus {
    ObjectLockLegalHoldStatus::from_static(if on { "ON" } else { "OFF" })
}

pub(crate) fn parse_hold(text: &str) -> Option<bool> {
    match text {
        "ON" => Some(true),
        "OFF" => Some(false),
        _ => None,
    }
}

impl DefaultRetention {
    /// From the body of PutObjectLockConfiguration: days or years, exactly one of them.
    pub(crate) fn from_element(element: &s3s::dto::DefaultRetention) -> S3Result<Self> {
        let mode = element.mode.as_ref().ok_or_else(|| s3_error!(MalformedXML))?;
        let mode = Mode::parse(mode.as_str()).map_err(|_| s3_error!(MalformedXML))?;
        let (period, days) = match (element.days, element.years) {
            (Some(days), None) => (Period::Days(days), days),
            (None, Some(years)) => (Period::Years(years), years.saturating_mul(365)),
            _ => return Err(s3_error!(MalformedXML)),
        };
        if days <= 0 {
            return Err(s3_error!(
                InvalidArgument,
                "Default retention period must be a positive integer value"
            ));
        }
        if days > LONGEST_DAYS {
            return Err(s3_error!(
                InvalidArgument,
                "Default retention period is too large"
            ));
        }
        Ok(Self { mode, period })
    }

    pub(crate) fn element(self) -> s3s::dto::DefaultRetention {
        let (days, years) = match self.period {
            Period::Days(days) => (Some(days), None),
            Period::Years(years) => (None, Some(years)),
        };
        s3s::dto::DefaultRetention {
            mode: Some(self.mode.element()),
            days,
            years,
        }
    }

    /// The retention of a version written now; seconds are rounded up, never down.
    pub(crate) fn starting(self, now: Millis) -> Retention {
        let start = now.offset();
        let end = match self.period {
            Period::Days(days) => start + Duration::days(i64::from(days)),
            Period::Years(years) => start
                .replace_year(start.year() + years)
                // 29 February in a year without one: the later of the two neighbours.
                .unwrap_or(start + Duration::days(i64::from(years) * 366)),
        };
        let round_up = i64::from(end.nanosecond() > 0);
        Retention {
            mode: self.mode,
            until: Until(end.unix_timestamp() + round_up),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_900_000_000;

    fn now() -> Millis {
        OffsetDateTime::from_unix_timestamp(NOW)
            .map(|t| std::time::SystemTime::from(t).into())
            .unwrap()
    }

    fn retention(mode: Mode, ahead_seconds: i64) -> Option<Retention> {
        Some(Retention {
            mode,
            until: Until(NOW + ahead_seconds),
        })
    }

    fn locked(mode: Mode, ahead_seconds: i64) -> LockState {
        LockState {
            retention: retention(mode, ahead_seconds),
            legal_hold: None,
        }
    }

    #[test]
    fn deletion() {
        for bypass in [false, true] {
            assert!(locked(Mode::Compliance, 1).check_delete(now(), bypass).is_err());
            assert!(locked(Mode::Compliance, 0).check_delete(now(), bypass).is_ok());
            let held = LockState {
                retention: None,
                legal_hold: Some(true),
            };
            assert!(held.check_delete(now(), bypass).is_err());
        }
        assert!(locked(Mode::Governance, 1).check_delete(now(), false).is_err());
        assert!(locked(Mode::Governance, 1).check_delete(now(), true).is_ok());
    }

    #[test]
    fn compliance_only_grows() {
        let lock = locked(Mode::Compliance, 100);
        for bypass in [false, true] {
            assert!(
                lock.check_retention(retention(Mode::Compliance, 101), now(), bypass)
                    .is_ok()
            );
            assert!(
                lock.check_retention(retention(Mode::Compliance, 100), now(), bypass)
                    .is_ok()
            );
            assert!(
                lock.check_retention(retention(Mode::Compliance, 99), now(), bypass)
                    .is_err()
            );
            assert!(
                lock.check_retention(retention(Mode::Governance, 999), now(), bypass)
                    .is_err()
            );
            assert!(lock.check_retention(None, now(), bypass).is_err());
        }
    }

    #[test]
    fn governance_needs_the_bypass_to_shrink() {
        let lock = locked(Mode::Governance, 100);
        assert!(
            lock.check_retention(retention(Mode::Governance, 101), now(), false)
                .is_ok()
        );
        for new in [
            None,
            retention(Mode::Governance, 99),
            retention(Mode::Compliance, 200),
        ] {
            assert!(lock.check_retention(new, now(), false).is_err());
            assert!(lock.check_retention(new, now(), true).is_ok());
        }
    }

    #[test]
    fn dates_are_whole_seconds_ahead() {
        let ask = |nanos: i128| {
            let at =
                OffsetDateTime::from_unix_timestamp_nanos(i128::from(NOW) * 1_000_000_000 + nanos).unwrap();
            Until::asked(&at.into(), now())
        };
        assert!(ask(999_999_999).is_err(), "cut to whole seconds it is not ahead");
        assert_eq!(ask(1_999_999_999).unwrap(), Until(NOW + 1));
        assert!(ask(-1).is_err());
        assert!(
            ask(200 * 365 * 86_400 * 1_000_000_000).is_err(),
            "two hundred years"
        );
    }

    #[test]
    fn default_periods() {
        let starting = |period| {
            DefaultRetention {
                mode: Mode::Compliance,
                period,
            }
            .starting(now())
            .until
        };
        assert_eq!(starting(Period::Days(1)), Until(NOW + 86_400));
        // 2030-03-17 to 2031-03-17 has no 29 February.
        assert_eq!(starting(Period::Years(1)), Until(NOW + 365 * 86_400));
    }
}
