//! How many cases or rounds a test of random input runs. The tests of other crates include this file.

/// `default`, times the factor that `HOLDFAST_TEST_ROUNDS` gives: a whole number from 1 on. `cargo xtask test --long` sets it.
pub fn rounds(default: u32) -> u32 {
    let factor = std::env::var("HOLDFAST_TEST_ROUNDS").map_or(1, |text| {
        let factor = text.parse().ok().filter(|factor| *factor >= 1);
        factor.unwrap_or_else(|| {
            panic!("HOLDFAST_TEST_ROUNDS is `{text}`, and must be a whole number from 1 on")
        })
    });
    default.saturating_mul(factor)
}
