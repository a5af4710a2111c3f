//! What makes a snapshot suspicious beside the last one that was sound: a path with nothing in it, or with far less than before.
//! Such a backup may be that of a disk that is not mounted, or of files that somebody has deleted or encrypted away.
//!
//! The rule is a simple one, on counts alone: names never leave the endpoint.

use serde::{Deserialize, Serialize};

use crate::{
    api::agent::{PathTotals, SnapshotTotals},
    words::{bytes, counted},
};

/// Falling below one part in so many is an anomaly.
const FALL: u64 = 10;
/// Where fewer files were before, only their all being gone is one.
const FEWEST_FILES: u64 = 20;

/// What of a snapshot differs from what was expected of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anomaly {
    /// The path of the source; `None` for all of them together.
    pub path: Option<String>,
    /// What differs.
    pub change: Change,
}

/// What differs, with the figures of the newest sound snapshot before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// The path is gone or could not be read.
    Gone {
        /// Files below it before.
        files_before: u64,
    },
    /// The path is there, and no file is below it.
    Empty {
        /// Files below it before.
        files_before: u64,
    },
    /// Fewer than a tenth of the files.
    FewerFiles {
        /// Files below it.
        files: u64,
        /// Files below it before.
        files_before: u64,
    },
    /// Fewer than a tenth of the bytes.
    FewerBytes {
        /// Bytes of the files below it.
        bytes: u64,
        /// Their bytes before.
        bytes_before: u64,
    },
    /// There is no sound snapshot to compare with, and no file in this one.
    Nothing,
    /// The path lies on another file system than before.
    OtherFileSystem,
}

impl Change {
    /// Whether the snapshot is not sound for it. Another file system alone is only told of: disks are replaced.
    #[must_use]
    pub const fn is_unsound(self) -> bool {
        !matches!(self, Self::OtherFileSystem)
    }
}

impl std::fmt::Display for Anomaly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path.as_deref().unwrap_or("all paths together");
        let files = |value: u64| counted(value, "file", "files");
        match self.change {
            Change::Gone { files_before } => {
                write!(f, "{path}: gone or not readable, {} before", files(files_before))
            }
            Change::Empty { files_before } => write!(f, "{path}: 0 files, {} before", files(files_before)),
            Change::FewerFiles {
                files: now,
                files_before,
            } => {
                write!(f, "{path}: {}, {} before", files(now), files(files_before))
            }
            Change::FewerBytes {
                bytes: now,
                bytes_before,
            } => write!(f, "{path}: {}, {} before", bytes(now), bytes(bytes_before)),
            Change::Nothing => write!(f, "{path}: not one file"),
            Change::OtherFileSystem => write!(f, "{path}: on another file system than before"),
        }
    }
}

/// What a person decided of a snapshot that is not sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// It is what it should be: it counts like any sound one, and what was held for its sake is held no longer.
    Good,
    /// It is not: the last sound one stays the one to go by.
    Bad,
}

/// What a snapshot took, as far as anomalies are looked for.
#[derive(Debug, Clone, Copy)]
pub struct Taken<'a> {
    /// Of all paths together.
    pub totals: &'a SnapshotTotals,
    /// Each path with what was below it; empty when the agent did not tell.
    pub paths: &'a [(String, PathTotals)],
}

/// Compares a snapshot with the newest sound one before it. A path that one of the two does not have is compared with nothing.
#[must_use]
pub fn anomalies(baseline: Option<Taken<'_>>, taken: Taken<'_>) -> Vec<Anomaly> {
    let whole = |change| Anomaly { path: None, change };
    let Some(before) = baseline else {
        let is_nothing = taken.totals.files == 0;
        return is_nothing.then(|| whole(Change::Nothing)).into_iter().collect();
    };
    if taken.paths.is_empty() || before.paths.is_empty() {
        let change = fall(of_all(before.totals), of_all(taken.totals));
        return change.map(whole).into_iter().collect();
    }
    let mut found = Vec::new();
    for (path, now) in taken.paths {
        let Some((_, then)) = before.paths.iter().find(|(other, _)| other == path) else {
            continue;
        };
        let is_other =
            then.file_system.is_some() && now.file_system.is_some() && then.file_system != now.file_system;
        let changes = [fall(*then, *now), is_other.then_some(Change::OtherFileSystem)];
        found.extend(changes.into_iter().flatten().map(|change| Anomaly {
            path: Some(path.clone()),
            change,
        }));
    }
    found
}

fn of_all(totals: &SnapshotTotals) -> PathTotals {
    PathTotals {
        files: totals.files,
        bytes: totals.bytes,
        is_gone: false,
        file_system: None,
    }
}

fn fall(before: PathTotals, now: PathTotals) -> Option<Change> {
    let files_before = before.files;
    let is_less = |now: u64, before: u64| u128::from(now) * u128::from(FALL) < u128::from(before);
    if files_before == 0 {
        return None;
    }
    if now.is_gone {
        return Some(Change::Gone { files_before });
    }
    if now.files == 0 {
        return Some(Change::Empty { files_before });
    }
    if files_before < FEWEST_FILES {
        return None;
    }
    if is_less(now.files, files_before) {
        return Some(Change::FewerFiles {
            files: now.files,
            files_before,
        });
    }
    is_less(now.bytes, before.bytes).then_some(Change::FewerBytes {
        bytes: now.bytes,
        bytes_before: before.bytes,
    })
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    fn totals(files: u64, bytes: u64) -> SnapshotTotals {
        SnapshotTotals {
            files,
            bytes,
            ..SnapshotTotals::default()
        }
    }

    fn path(files: u64, bytes: u64) -> PathTotals {
        PathTotals {
            files,
            bytes,
            is_gone: false,
            file_system: Some(7),
        }
    }

    fn gone() -> PathTotals {
        PathTotals {
            is_gone: true,
            ..PathTotals::default()
        }
    }

    #[test]
    fn what_falls_is_told_with_its_path() {
        let other = PathTotals {
            file_system: Some(8),
            ..path(500, 5_000)
        };
        let unknown = PathTotals {
            file_system: None,
            ..path(500, 5_000)
        };
        let table = [
            (path(500, 5_000), path(500, 5_000), ""),
            (path(500, 5_000), path(0, 0), "/data: 0 files, 500 files before"),
            (path(1, 3), path(0, 0), "/data: 0 files, 1 file before"),
            (path(1, 3), gone(), "/data: gone or not readable, 1 file before"),
            (
                path(500, 5_000),
                path(49, 5_000),
                "/data: 49 files, 500 files before",
            ),
            (path(500, 5_000), path(50, 500), ""),
            (path(500, 5_000), path(500, 499), "/data: 499 B, 4.88 KiB before"),
            // Too few to tell a habit from an accident.
            (path(19, 5_000), path(1, 1), ""),
            (path(20, 5_000), path(1, 5_000), "/data: 1 file, 20 files before"),
            // It was empty before.
            (path(0, 0), path(0, 0), ""),
            (path(0, 0), gone(), ""),
            (gone(), path(500, 5_000), ""),
            // Files of no bytes have nothing to lose.
            (path(500, 0), path(500, 0), ""),
            (
                path(500, 5_000),
                other,
                "/data: on another file system than before",
            ),
            (path(500, 5_000), unknown, ""),
            (path(u64::MAX, u64::MAX), path(u64::MAX, u64::MAX), ""),
        ];
        for (before, now, words) in table {
            let other = ("/other".to_owned(), path(3, 3));
            let before_paths = [other.clone(), ("/data".to_owned(), before)];
            let now_paths = [("/data".to_owned(), now), other, ("/new".to_owned(), path(0, 0))];
            let sum = totals(1_000, 1_000);
            let baseline = Taken {
                totals: &sum,
                paths: &before_paths,
            };
            let taken = Taken {
                totals: &sum,
                paths: &now_paths,
            };
            let found = anomalies(Some(baseline), taken);
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found.join("; "), words, "{before:?} {now:?}");
        }
    }

    /// Of an agent that does not tell of paths, and after one.
    #[test]
    fn without_paths_the_totals_are_compared() {
        let paths = [("/data".to_owned(), path(500, 5_000))];
        let (many, none) = (totals(500, 5_000), totals(0, 0));
        let of = |totals| Taken { totals, paths: &[] };
        let with = |totals| Taken {
            totals,
            paths: &paths,
        };
        let empty = Anomaly {
            path: None,
            change: Change::Empty { files_before: 500 },
        };
        assert_eq!(anomalies(Some(of(&many)), of(&none)), slice::from_ref(&empty));
        assert_eq!(anomalies(Some(with(&many)), of(&none)), slice::from_ref(&empty));
        assert_eq!(anomalies(Some(of(&many)), with(&none)), [empty]);
        assert_eq!(anomalies(Some(of(&many)), of(&many)), []);
    }

    #[test]
    fn a_first_snapshot_of_nothing_is_an_anomaly() {
        let (one, none) = (totals(1, 0), totals(0, 0));
        let of = |totals| Taken { totals, paths: &[] };
        let nothing = Anomaly {
            path: None,
            change: Change::Nothing,
        };
        assert_eq!(anomalies(None, of(&none)), [nothing]);
        assert_eq!(anomalies(None, of(&one)), []);
        // A person has said that it is to be so.
        assert_eq!(anomalies(Some(of(&none)), of(&none)), []);
    }
}
