//! How many bytes may pass in a second: a limit that is told in text, and the meter that keeps it.

use std::{
    fmt,
    num::NonZeroU64,
    str::FromStr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::clock;

/// What a timer that woke late has missed is made up for, when it is no more than this: longer pauses are not saved up.
const MAX_CATCH_UP: Duration = Duration::from_millis(50);
/// What passes at once, at most.
const MAX_PIECE_BYTES: u64 = 64 * 1024;
/// Pieces in a second, where the limit is so low that the largest piece would come in fits and starts.
const PIECES_PER_SECOND: u64 = 20;

const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
];

/// Bytes per second, such as `10 MiB/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate(NonZeroU64);

/// A text that is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no rate: write a number and a unit, such as `500 kB/s` or `10 MiB/s`")]
pub struct RateError(String);

impl Rate {
    /// `None` for no bytes at all.
    #[must_use]
    pub fn new(bytes_per_second: u64) -> Option<Self> {
        NonZeroU64::new(bytes_per_second).map(Self)
    }

    /// Its bytes per second.
    #[must_use]
    pub const fn bytes_per_second(self) -> u64 {
        self.0.get()
    }

    /// How long so many bytes take.
    #[must_use]
    pub fn time_for(self, bytes: u64) -> Duration {
        let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(self.0.get());
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// The lower of two limits, of which each may be absent.
    #[must_use]
    pub fn lower(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let parse = || {
            let amount = text.trim().strip_suffix("/s").unwrap_or(text.trim()).trim_end();
            let digits = amount.find(|letter: char| !letter.is_ascii_digit())?;
            let (number, unit) = amount.split_at(digits);
            let unit = unit.trim_start();
            let (_, size) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
            Self::new(number.parse::<u64>().ok()?.checked_mul(*size)?)
        };
        parse().ok_or_else(|| RateError(text.to_owned()))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.get();
        // In the unit that makes the number shortest.
        let (name, size) = UNITS
            .into_iter()
            .filter(|(_, size)| bytes.is_multiple_of(*size))
            .max_by_key(|(_, size)| *size)
            .unwrap_or(("B", 1));
        write!(f, "{} {name}/s", bytes / size)
    }
}

impl TryFrom<String> for Rate {
    type Error = RateError;

    fn try_from(text: String) -> Result<Self, RateError> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

/// What this endpoint may use of its network. Without a limit, all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Of what backups send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload: Option<Rate>,
    /// Of what restores fetch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download: Option<Rate>,
}

impl Limits {
    /// These limits, and `others` where these say nothing.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            upload: self.upload.or(others.upload),
            download: self.download.or(others.download),
        }
    }
}

/// Lets bytes pass, evenly, at a rate that all who share it have together.
#[derive(Debug)]
pub struct Meter {
    rate: Rate,
    /// When the next byte may pass.
    free: Mutex<Option<Instant>>,
}

impl Meter {
    /// A meter that nothing has passed yet.
    #[must_use]
    pub const fn new(rate: Rate) -> Self {
        Self {
            rate,
            free: Mutex::new(None),
        }
    }

    /// Its rate.
    #[must_use]
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// How many bytes should pass at once, so that they come evenly.
    #[must_use]
    pub fn piece(&self) -> usize {
        let piece = (self.rate.bytes_per_second() / PIECES_PER_SECOND).clamp(1, MAX_PIECE_BYTES);
        usize::try_from(piece).unwrap_or(usize::MAX)
    }

    /// Waits until so many bytes may pass.
    pub async fn pass(&self, bytes: usize) {
        let at = self.reserve(bytes as u64, clock::monotonic());
        tokio::time::sleep_until(at.into()).await;
    }

    /// When `bytes` may pass that are there `now`: after all for which this was asked before.
    fn reserve(&self, bytes: u64, now: Instant) -> Instant {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(MAX_CATCH_UP).unwrap_or(now);
        let at = free.map_or(now, |free| free.max(earliest));
        *free = Some(at + self.rate.time_for(bytes));
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn rates_are_read_and_shown() {
        for (text, bytes, shown) in [
            ("10 MiB/s", 10 << 20, "10 MiB/s"),
            ("10mib", 10 << 20, "10 MiB/s"),
            (" 500 kB/s ", 500_000, "500 kB/s"),
            ("1024 KiB/s", 1 << 20, "1 MiB/s"),
            ("7B/s", 7, "7 B/s"),
            ("2GB/s", 2_000_000_000, "2 GB/s"),
        ] {
            assert_eq!(rate(text).bytes_per_second(), bytes, "{text}");
            assert_eq!(rate(text).to_string(), shown);
            assert_eq!(rate(shown), rate(text));
        }
        for wrong in [
            "",
            "10",
            "MiB/s",
            "0 MiB/s",
            "-1 MiB/s",
            "1.5 MiB/s",
            "10 MiB/h",
            "10 Mbit/s",
            "99999999999 GiB/s",
        ] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn limits_are_text_in_the_configuration() {
        let limits: Limits = serde_json::from_str(r#"{"upload": "2 MiB/s"}"#).unwrap();
        assert_eq!((limits.upload, limits.download), (Some(rate("2 MiB/s")), None));
        assert_eq!(serde_json::to_string(&limits).unwrap(), r#"{"upload":"2 MiB/s"}"#);
        let flag = Limits {
            upload: Some(rate("1 MiB/s")),
            download: Some(rate("9 kB/s")),
        };
        assert_eq!(
            limits.or(flag),
            Limits {
                upload: limits.upload,
                ..flag
            }
        );
        assert!(serde_json::from_str::<Limits>(r#"{"uplaod": "2 MiB/s"}"#).is_err());
    }

    /// A hundred seconds of eight who send at once, in no time: never more than the rate in any second, and in all no less.
    #[test]
    fn what_passes_is_the_rate_and_comes_evenly() {
        let meter = Meter::new(rate("1 MiB/s"));
        let piece = meter.piece() as u64;
        let begin = clock::monotonic();
        let mut at_of_eight = [begin; 8];
        let mut passed: Vec<Duration> = Vec::new();
        for turn in 0.. {
            // Each asks again when it was let through; timers wake up late, by up to 3 ms.
            let who = (0..8).min_by_key(|who| at_of_eight[*who]).unwrap();
            let at = meter.reserve(piece, at_of_eight[who]).max(at_of_eight[who]);
            at_of_eight[who] = at + Duration::from_millis(turn * 7 % 4);
            if at > begin + Duration::from_secs(100) {
                break;
            }
            passed.push(at - begin);
        }
        let all = passed.len() as u64 * piece;
        assert!((99 << 20..=101 << 20).contains(&all), "{all}");
        passed.sort_unstable();
        let second = usize::try_from((1 << 20) / piece).unwrap();
        for window in passed.windows(second + 2) {
            let took = window[second + 1] - window[0];
            assert!(took >= Duration::from_secs(1) - MAX_CATCH_UP, "{took:?}");
        }
    }

    #[test]
    fn a_pause_is_not_saved_up() {
        let meter = Meter::new(rate("1 MiB/s"));
        let begin = clock::monotonic();
        assert_eq!(meter.reserve(1 << 20, begin), begin);
        let later = begin + Duration::from_secs(600);
        let first = meter.reserve(1 << 20, later);
        assert_eq!(meter.reserve(1, later), first + Duration::from_secs(1));
        assert_eq!(later - first, MAX_CATCH_UP);
    }

    #[test]
    fn pieces_are_small_where_the_rate_is() {
        assert_eq!(Meter::new(rate("1 GiB/s")).piece(), 64 * 1024);
        assert_eq!(Meter::new(rate("20 kB/s")).piece(), 1000);
        assert_eq!(Meter::new(rate("1 B/s")).piece(), 1);
    }
}
