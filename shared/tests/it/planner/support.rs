//! What the tests of the planner share.

use jiff::SignedDuration;
use proptest::test_runner::Config;

/// So many cases, or as many as `PROPTEST_CASES` says.
pub fn cases(default: u32) -> Config {
    let wanted = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|text| text.parse().ok());
    Config {
        cases: wanted.unwrap_or(default),
        failure_persistence: None,
        ..Config::default()
    }
}

pub fn hours(count: u64) -> SignedDuration {
    SignedDuration::from_hours(i64::try_from(count).unwrap())
}
