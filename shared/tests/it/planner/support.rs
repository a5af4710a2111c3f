//! What the tests of the planner share.

use jiff::SignedDuration;
use proptest::test_runner::Config;

use crate::rounds::rounds;

/// So many cases, or as many times more as are asked for.
pub fn cases(default: u32) -> Config {
    Config {
        cases: rounds(default),
        failure_persistence: None,
        ..Config::default()
    }
}

pub fn hours(count: u64) -> SignedDuration {
    SignedDuration::from_hours(i64::try_from(count).unwrap())
}
