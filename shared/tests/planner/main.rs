//! The planner against what it promises: a world that is walked through by hand, a naive second opinion on arbitrary inputs,
//! the laws that every plan obeys, and a saboteur whom `check` must catch. `PROPTEST_CASES=100000` runs more of it.

mod apply;
mod arbitrary;
mod bucket;
mod check_catches;
mod dice;
mod laws;
mod operator;
mod oracle;
mod promises;
mod renewal;
mod runs;
mod sabotage;
mod sweep;
mod world;

use jiff::SignedDuration;
use proptest::test_runner::Config;

/// So many cases, or as many as `PROPTEST_CASES` says.
fn cases(default: u32) -> Config {
    let wanted = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|text| text.parse().ok());
    Config {
        cases: wanted.unwrap_or(default),
        failure_persistence: None,
        ..Config::default()
    }
}

fn hours(count: u64) -> SignedDuration {
    SignedDuration::from_hours(i64::try_from(count).unwrap())
}
