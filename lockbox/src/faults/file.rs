//! Rules in a file, for a lockbox that is a process of its own.
//!
//! The file is a JSON array of rules; it is read again whenever its content changes, and then replaces all rules that
//! were there, with new counts. A file that is missing or empty means no rules.
//! ```json
//! [
//!   { "on": { "operation": "HeadObject", "key": "*/packs/*" }, "times": 4, "action": "not_there" },
//!   { "for_seconds": 20, "action": "stall" },
//!   { "on": { "query": "versioning" }, "skip": 1, "action": { "status": { "status": 403, "code": "AccessDenied" } } },
//!   { "on": { "operation": "ListObjectVersions" }, "action": { "listing": { "end_after": { "entries": 3 } } } }
//! ]
//! ```

use std::path::Path;
use std::time::Duration;

use super::{Faults, Rule};

const EVERY: Duration = Duration::from_millis(100);

/// Reads rules.
///
/// # Errors
/// A sentence that says what is wrong with the file, such as an operation that does not exist.
pub fn parse(text: &str) -> Result<Vec<Rule>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let rules: Vec<Rule> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match rules.iter().find(|rule| !rule.on.is_known()) {
        Some(rule) => Err(format!("no such operation: {:?}", rule.on)),
        None => Ok(rules),
    }
}

/// Follows the file for ever. `told` hears how many rules are in force after each change, or why a change was not
/// taken, which leaves the rules as they were.
pub async fn follow(path: &Path, faults: &Faults, told: impl Fn(Result<usize, String>)) {
    let mut last = None;
    loop {
        // A file that cannot be read is one that is not there.
        let text = tokio::fs::read_to_string(path).await.unwrap_or_default();
        if last.as_ref() != Some(&text) {
            told(parse(&text).map(|rules| {
                let count = rules.len();
                faults.set(rules);
                count
            }));
            last = Some(text);
        }
        tokio::time::sleep(EVERY).await;
    }
}
