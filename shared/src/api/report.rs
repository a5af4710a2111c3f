//! What a run says of its source beside the snapshot: numbers of lines and counts, no names.

use serde::{Deserialize, Serialize};

/// What an agent found while it walked, sent with the commit. Each field is of this run alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunReport {
    /// Exclude lines that matched nothing, by their numbers in the order, from 0 on.
    pub unmatched_excludes: Vec<u32>,
    /// Exclude lines that are no patterns, so that they leave out nothing, likewise.
    pub unread_excludes: Vec<u32>,
    /// Files, folders and mounts that exclude lines and options left out. A folder counts once, with everything in it.
    pub left_out: u64,
    /// Files that were read again although nothing but their numbers had changed.
    pub read_again: ReadAgain,
}

/// Files of the same size and modification time as before that were read all the same, by what was new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReadAgain {
    /// Their inode numbers.
    pub inode: FilesRead,
    /// Only change times, owners or permissions.
    pub change_time: FilesRead,
}

/// Files that were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesRead {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl FilesRead {
    /// Counts more.
    pub fn add(&mut self, more: Self) {
        self.files = self.files.saturating_add(more.files);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }
}

impl ReadAgain {
    /// Counts more.
    pub fn add(&mut self, more: Self) {
        self.inode.add(more.inode);
        self.change_time.add(more.change_time);
    }

    /// Whether nothing was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl RunReport {
    /// The report as it is kept, of a source with so many exclude lines: each line once, in order, and none that is not there.
    #[must_use]
    pub fn bounded(mut self, lines: usize) -> Self {
        for numbers in [&mut self.unmatched_excludes, &mut self.unread_excludes] {
            numbers.retain(|number| usize::try_from(*number).is_ok_and(|number| number < lines));
            numbers.sort_unstable();
            numbers.dedup();
        }
        self
    }

    /// Whether a snapshot with so many files has none although there was something: all of it was left out. It is not clean.
    #[must_use]
    pub fn took_nothing(&self, files: u64) -> bool {
        files == 0 && self.left_out > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_lines_that_are_there_once() {
        let report = RunReport {
            unmatched_excludes: vec![3, 1, 3, 4, u32::MAX],
            unread_excludes: vec![0, 9],
            ..RunReport::default()
        };
        let kept = report.clone().bounded(4);
        assert_eq!(kept.unmatched_excludes, [1, 3]);
        assert_eq!(kept.unread_excludes, [0]);
        let none = report.bounded(0);
        assert_eq!(none, RunReport::default());
    }

    #[test]
    fn a_report_of_before_reads_and_says_nothing() {
        let read: RunReport = serde_json::from_str("{}").unwrap();
        assert_eq!(read, RunReport::default());
        assert!(read.read_again.is_empty());
    }

    #[test]
    fn nothing_taken_is_told_from_nothing_there() {
        for (files, left_out, expected) in [(0, 0, false), (0, 1, true), (1, 1, false), (1, 0, false)] {
            let report = RunReport {
                left_out,
                ..RunReport::default()
            };
            assert_eq!(report.took_nothing(files), expected, "{files} {left_out}");
        }
    }
}
