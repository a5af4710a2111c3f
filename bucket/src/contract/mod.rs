//! What Holdfast needs of a store, as named checks that any store can be asked. lockbox, lockbox with faults, and Ceph's gateway are
//! (`bucket/tests/it/contract.rs`; the story of `cargo xtask demo --check`). Where a store does otherwise, [`DIFFERENCES`] says what it
//! does instead, and a run fails when it does not do that.
//!
//! A run leaves its bucket behind, with versions that are locked for a day.

mod buckets;
mod deletions;
mod differences;
mod fixture;
mod listings;
mod locks;
mod puts;
mod reads;
mod signed;

use std::{collections::BTreeMap, time::Duration};

use futures::future::BoxFuture;

pub use self::{
    differences::{DIFFERENCES, Difference, Store},
    fixture::{Breach, Fixture},
};

/// A check that takes longer has failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(120);

/// One thing that Holdfast needs.
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// What a store that passes it does.
    pub proves: &'static str,
    run: for<'f> fn(&'f Fixture) -> BoxFuture<'f, Result<(), Breach>>,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The store does what is needed.
    Holds,
    /// The store does otherwise, as is known of it.
    Differs(&'static Difference),
    /// The store does otherwise.
    Broken(String),
}

/// Declares the table of checks.
macro_rules! checks {
    ($($module:ident::$check:ident: $proves:literal,)+) => {
        /// Every check, in the order in which they run.
        pub const CHECKS: &[Check] = &[
            $(Check {
                name: stringify!($check),
                proves: $proves,
                run: |fixture| Box::pin($module::$check(fixture)),
            },)+
        ];
    };
}

checks! {
    buckets::bucket_is_made_with_its_lock:
        "a bucket that is made has versioning and Object Lock, keeps them when it is made again, and one that is not there is refused",
    buckets::keys_are_accepted: "the keys may list buckets",
    buckets::date_is_told: "every answer has a Date, also one that refuses",
    puts::object_is_put_with_its_lock: "an object has its length, its MD5 as ETag, a version id, and the lock that was sent with it",
    puts::wrong_digest_is_refused: "content other than its Content-MD5 is refused, and nothing is put",
    puts::past_lock_is_refused: "a lock that has ended already is refused, and nothing is put",
    puts::second_put_lies_on_top: "a second object under a key is another version; the first keeps content and lock",
    puts::put_if_absent_refuses_a_second: "If-None-Match keeps a key from a second version",
    locks::lock_is_extended: "a lock is extended, in both modes",
    locks::lock_is_not_shortened: "a lock is not shortened without a bypass, in both modes",
    locks::compliance_stays: "COMPLIANCE does not become GOVERNANCE",
    deletions::locked_version_stays: "a locked version is not deleted without a bypass, in both modes",
    deletions::ended_lock_lets_go: "a version is deleted once its lock has ended; HEAD and listing have it no more",
    deletions::rows_are_told_apart: "a batch says of each version what became of it, and what it does not say is an error",
    reads::version_is_read_whole: "a version is read by its id, also beneath another, and no more than the limit",
    reads::ranges_are_what_was_asked: "a range is the bytes that were asked for; one over the end is shorter, one behind the end is empty",
    reads::absence_has_its_code: "a key or a version that never was is refused with NoSuchKey or NoSuchVersion, and HEAD has none",
    listings::pages_ascend: "pages go on behind each other, also within one key, newest version first, and miss nothing",
    listings::keys_come_back_as_they_were: "keys with spaces, signs and letters of any script are put, listed, read and deleted as they are",
    listings::folders_are_told: "a delimiter folds keys into their folders",
    listings::listing_tells_time_and_size: "an entry has its length, and a time near the store's clock",
    signed::upload_carries_its_lock: "a signed upload takes its content with its lock, and nothing with another lock or without",
    signed::upload_of_other_content_is_refused: "a signed upload of other content, or of another length, is refused",
    signed::read_gives_its_range: "a signed read gives its range of its version, and is refused with another range or none",
}

/// Asks everything, one check after the other.
pub async fn run(fixture: &Fixture, store: Store) -> Vec<(&'static Check, Verdict)> {
    let mut told = Vec::with_capacity(CHECKS.len());
    for check in CHECKS {
        let outcome = tokio::time::timeout(CHECK_TIMEOUT, (check.run)(fixture)).await;
        let outcome =
            outcome.unwrap_or_else(|_| Err(Breach(format!("not done within {} s", CHECK_TIMEOUT.as_secs()))));
        told.push((check, judge(store, check, outcome)));
    }
    told
}

fn judge(store: Store, check: &Check, outcome: Result<(), Breach>) -> Verdict {
    let known = DIFFERENCES
        .iter()
        .find(|known| known.store == store && known.check == check.name);
    match (outcome, known) {
        (Ok(()), None) => Verdict::Holds,
        (Ok(()), Some(known)) => Verdict::Broken(format!(
            "it holds, and the table of differences says: {}",
            known.instead
        )),
        (Err(Breach(found)), Some(known)) if found == known.instead => Verdict::Differs(known),
        (Err(Breach(found)), _) => Verdict::Broken(found),
    }
}

/// A line for each check that does not simply hold, and how many there are of each kind.
#[must_use]
pub fn summary(told: &[(&'static Check, Verdict)]) -> (BTreeMap<&'static str, usize>, Vec<String>) {
    let mut counts = BTreeMap::new();
    let mut lines = Vec::new();
    for (check, verdict) in told {
        let (kind, line) = match verdict {
            Verdict::Holds => ("hold", None),
            Verdict::Differs(known) => ("differ", Some(format!("{}: {}", check.name, known.instead))),
            Verdict::Broken(found) => {
                let line = format!("{} ({}): {found}", check.name, check.proves);
                ("broken", Some(line))
            }
        };
        *counts.entry(kind).or_default() += 1;
        lines.extend(line);
    }
    (counts, lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_differences_are_of_checks() {
        let names: std::collections::BTreeSet<&str> = CHECKS.iter().map(|check| check.name).collect();
        assert_eq!(names.len(), CHECKS.len());
        for known in DIFFERENCES {
            assert!(names.contains(known.check), "{}", known.check);
        }
    }

    #[test]
    fn what_is_not_in_the_table_of_differences_is_broken() {
        for known in DIFFERENCES {
            let check = CHECKS.iter().find(|check| check.name == known.check).unwrap();
            let found = |text: &str| judge(known.store, check, Err(Breach(text.to_owned())));
            assert_eq!(found(known.instead), Verdict::Differs(known));
            assert!(matches!(found("something else"), Verdict::Broken(_)));
            assert!(matches!(judge(known.store, check, Ok(())), Verdict::Broken(_)));
        }
        assert_eq!(judge(Store::Lockbox, &CHECKS[0], Ok(())), Verdict::Holds);
    }
}
