//! How many tests passed, read from what the runners print.

/// Tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// That passed.
    pub passed: u64,
    /// That failed.
    pub failed: u64,
    /// That did not run.
    pub skipped: u64,
}

impl Count {
    /// One test.
    pub fn of(passed: bool) -> Self {
        Self {
            passed: u64::from(passed),
            failed: u64::from(!passed),
            skipped: 0,
        }
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }

    /// What a runner that ended badly must show: at least one failure, for example when nothing compiled.
    pub fn confirmed_by(mut self, success: bool) -> Self {
        if !success && self.failed == 0 {
            self.failed = 1;
        }
        self
    }
}

/// Reads nextest's summary: `Summary [ 1.2s] 12 tests run: 11 passed (1 slow), 1 failed, 2 skipped`.
pub fn of_nextest(text: &str) -> Count {
    let mut count = Count::default();
    for line in text.lines().map(plain) {
        let Some((_, rest)) = line
            .split_once(" tests run: ")
            .or_else(|| line.split_once(" test run: "))
        else {
            continue;
        };
        if line.trim_start().starts_with("Summary") {
            for part in rest.split(", ") {
                let mut words = part.split_whitespace();
                let number = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
                match words.next() {
                    Some("passed") => count.passed += number,
                    Some("failed" | "timed" | "exec") => count.failed += number,
                    Some("skipped") => count.skipped += number,
                    _ => {}
                }
            }
        }
    }
    count
}

/// Reads cargo test's `test result: ok. 3 passed; 0 failed; 1 ignored; …`, one a program.
pub fn of_cargo_test(text: &str) -> Count {
    let mut count = Count::default();
    for line in text.lines().map(plain) {
        let Some(rest) = line.trim_start().strip_prefix("test result: ") else {
            continue;
        };
        for part in rest.split([';', '.']) {
            let mut words = part.split_whitespace();
            let number = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
            match words.next() {
                Some("passed") => count.passed += number,
                Some("failed") => count.failed += number,
                Some("ignored") => count.skipped += number,
                _ => {}
            }
        }
    }
    count
}

/// Reads the `stats` of Playwright's JSON report.
pub fn of_playwright(report: &serde_json::Value) -> Option<Count> {
    let stats = report.get("stats")?;
    let number = |name: &str| stats.get(name).and_then(serde_json::Value::as_u64);
    Some(Count {
        // A flaky test has failed and then passed: it counts as what Playwright calls it in the end.
        passed: number("expected")? + number("flaky")?,
        failed: number("unexpected")?,
        skipped: number("skipped")?,
    })
}

/// A line without the colours of a terminal.
fn plain(line: &str) -> String {
    let mut out = String::new();
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            for escaped in characters.by_ref() {
                if escaped.is_ascii_alphabetic() {
                    break;
                }
            }
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_is_read() {
        let text =
            "     Summary [   3.251s] 14 tests run: 11 passed (1 slow), 2 failed, 1 timed out, 5 skipped\n";
        assert_eq!(
            of_nextest(text),
            Count {
                passed: 11,
                failed: 3,
                skipped: 5
            }
        );
        let text = "\u{1b}[32m     Summary\u{1b}[0m [   0.1s] \u{1b}[1m1\u{1b}[0m test run: \u{1b}[1m1\u{1b}[0m passed, 0 skipped";
        assert_eq!(
            of_nextest(text),
            Count {
                passed: 1,
                failed: 0,
                skipped: 0
            }
        );
    }

    #[test]
    fn cargo_test_is_read() {
        let text = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
                    test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured\n";
        assert_eq!(
            of_cargo_test(text),
            Count {
                passed: 7,
                failed: 2,
                skipped: 1
            }
        );
    }

    #[test]
    fn playwright_is_read() {
        let report = serde_json::json!({"stats": {"expected": 9, "unexpected": 1, "flaky": 1, "skipped": 2}});
        assert_eq!(
            of_playwright(&report),
            Some(Count {
                passed: 10,
                failed: 1,
                skipped: 2
            })
        );
        assert_eq!(of_playwright(&serde_json::json!({})), None);
    }

    #[test]
    fn a_runner_that_failed_without_a_failed_test_has_failed() {
        assert_eq!(Count::default().confirmed_by(false).failed, 1);
        assert_eq!(Count::default().confirmed_by(true).failed, 0);
    }
}
