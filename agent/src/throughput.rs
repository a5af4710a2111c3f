//! How fast something goes, and how long the rest will take.

use std::time::{Duration, Instant};

/// What was so long ago counts half.
const HALF_LIFE: Duration = Duration::from_secs(8);
/// Within this time after the start no rate is given: the first figures mislead.
const MIN_OBSERVATION: Duration = Duration::from_secs(2);

/// A speed, smoothed over some seconds.
#[derive(Debug, Default)]
pub struct Throughput {
    began: Option<Instant>,
    last: Option<(Instant, u64)>,
    /// Bytes and seconds, the older ones counting less.
    bytes: f64,
    seconds: f64,
}

impl Throughput {
    /// So many bytes are done `now`.
    pub fn at(&mut self, now: Instant, done: u64) {
        self.began.get_or_insert(now);
        if let Some((before, had)) = self.last.replace((now, done)) {
            let passed = now.saturating_duration_since(before).as_secs_f64();
            let fade = 0.5_f64.powf(passed / HALF_LIFE.as_secs_f64());
            #[expect(clippy::cast_precision_loss, reason = "a speed need not be exact")]
            let more = done.saturating_sub(had) as f64;
            self.bytes = self.bytes.mul_add(fade, more);
            self.seconds = self.seconds.mul_add(fade, passed);
        }
    }

    /// The speed; zero before there is one.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "no speed is negative, and as many bytes as a u64 holds do not pass in a second"
    )]
    pub fn bytes_per_second(&self) -> u64 {
        if self.seconds > 0.0 {
            (self.bytes / self.seconds) as u64
        } else {
            0
        }
    }

    /// How long `left` more bytes take, rounded up to a second; `None` before one can tell, and when nothing moves.
    #[must_use]
    pub fn time_for(&self, left: u64) -> Option<Duration> {
        let (began, (now, _)) = (self.began?, self.last?);
        let speed = self.bytes_per_second();
        if speed == 0 || now.saturating_duration_since(began) < MIN_OBSERVATION {
            return None;
        }
        Some(Duration::from_secs(left.div_ceil(speed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_steady_speed_is_told_and_the_rest_follows() {
        let mut throughput = Throughput::default();
        let begin = clock::monotonic();
        assert_eq!((throughput.bytes_per_second(), throughput.time_for(1)), (0, None));
        for half_seconds in 0..40u32 {
            throughput.at(
                begin + Duration::from_millis(500) * half_seconds,
                u64::from(half_seconds) * 1000,
            );
            let may_tell = half_seconds >= 4;
            assert_eq!(throughput.time_for(10_000).is_some(), may_tell, "{half_seconds}");
        }
        assert!((1990..=2010).contains(&throughput.bytes_per_second()));
        let left = throughput.time_for(10_000).unwrap();
        assert!((5..=6).contains(&left.as_secs()), "{left:?}");
    }

    #[test]
    fn a_change_of_speed_shows_within_half_a_minute() {
        let mut throughput = Throughput::default();
        let begin = clock::monotonic();
        let mut done = 0;
        for second in 0..60u32 {
            done += if second < 30 { 100_000 } else { 1000 };
            throughput.at(begin + Duration::from_secs(1) * second, done);
        }
        assert!(
            (1000..12_000).contains(&throughput.bytes_per_second()),
            "{}",
            throughput.bytes_per_second()
        );
        // What stands still, and what goes back (a file is read once more), gives no nonsense.
        for second in 60..2000 {
            throughput.at(begin + Duration::from_secs(1) * second, done - 500);
        }
        assert_eq!((throughput.bytes_per_second(), throughput.time_for(5)), (0, None));
    }
}
