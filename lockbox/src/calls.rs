//! How many requests of each kind were let in: for benchmarks that compare what clients ask of a store.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts by operation, such as `PutObject`. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<Mutex<BTreeMap<String, u64>>>);

impl Calls {
    pub(crate) fn count(&self, operation: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(operation) {
            Some(count) => *count += 1,
            None => {
                counts.insert(operation.to_owned(), 1);
            }
        }
    }
}

/// One line: `GetObject=12 PutObject=3`.
impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, (operation, count)) in counts.iter().enumerate() {
            let space = if place == 0 { "" } else { " " };
            write!(f, "{space}{operation}={count}")?;
        }
        Ok(())
    }
}
