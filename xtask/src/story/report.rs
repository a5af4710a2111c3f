//! The table of the story: a line a step, written when the step ends.

use std::time::Instant;

use anyhow::Result;

use crate::{clock, say};

/// How the story goes.
pub struct Report {
    begun: Instant,
    passed: u64,
    failed: u64,
}

const NAME_WIDTH: usize = 46;
const FIGURES_WIDTH: usize = 96;

impl Report {
    /// Opens the table.
    pub fn begin() -> Self {
        println!("\n   {:<NAME_WIDTH$} {:>9}   figures", "step", "time");
        println!("   {}", "─".repeat(NAME_WIDTH + 13 + FIGURES_WIDTH));
        Self {
            begun: clock::start(),
            passed: 0,
            failed: 0,
        }
    }

    /// Takes a step and writes how it went: its figures, or why it does not hold.
    pub async fn step<T>(
        &mut self,
        name: &str,
        step: impl Future<Output = Result<(T, String)>>,
    ) -> Option<T> {
        let begun = clock::start();
        let outcome = Box::pin(step).await;
        let took = say::duration(begun.elapsed());
        let (mark, value, text) = match outcome {
            Ok((value, figures)) => {
                self.passed += 1;
                ('✓', Some(value), figures)
            }
            Err(error) => {
                self.failed += 1;
                ('✗', None, format!("{error:#}"))
            }
        };
        let mut lines = text.lines().flat_map(|line| say::wrap(line, FIGURES_WIDTH));
        println!(
            " {mark} {name:<NAME_WIDTH$} {took:>9}   {}",
            lines.next().unwrap_or_default()
        );
        for line in lines {
            println!("   {:<NAME_WIDTH$} {:>9}   {line}", "", "");
        }
        value
    }

    /// Closes the table.
    pub fn end(&self) {
        println!("   {}", "─".repeat(NAME_WIDTH + 13 + FIGURES_WIDTH));
        let took = say::duration(self.begun.elapsed());
        if self.failed == 0 {
            println!(" ✓ every step holds ({} steps in {took})", self.passed);
        } else {
            println!(
                " ✗ {} of {} steps do not hold ({took}); the story ends where a step has nothing to stand on",
                self.failed,
                self.passed + self.failed
            );
        }
    }

    /// Steps that hold.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// Steps that do not.
    pub fn failed(&self) -> u64 {
        self.failed
    }
}
