//! What a source takes and what it leaves out: patterns in gitignore syntax, relative to each path of the source,
//! sizes and file systems; and never the agent's own state.

use std::path::{Path, PathBuf};

use ignore::gitignore::Gitignore;
use shared::api::agent::SourceOptions;

use super::{
    error::BackupError,
    exclude_lines::{ExcludeLines, patterns},
};
use crate::platform::{self, FileSystemKind, Kind, Mounts, Stat};

/// What is taken of one source.
pub(super) struct Filter {
    excludes: ExcludeLines,
    /// `None`: everything that is not excluded.
    includes: Option<Gitignore>,
    max_file_bytes: u64,
    one_file_system: bool,
    leave_out_network_mounts: bool,
    unstable_inodes: bool,
    state: Option<StateFolder>,
}

/// What a walk does where another file system may begin.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AtMount {
    /// It goes on.
    Enter,
    /// It keeps the folder, empty.
    LeaveOut,
    /// The same, and notes why. Files are left out that are nowhere else.
    Tell(String),
    /// The same. What is left out are no files, or they are elsewhere.
    Pass(String),
}

/// Why a name is left out, apart from what is mounted there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeftOut {
    /// By the exclude line with this number, from 0 on.
    Line(usize),
    /// No include pattern takes it.
    NotIncluded,
}

/// The state folder: the agent never backs up its own keys.
struct StateFolder {
    /// With links resolved.
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Filter {
    /// # Errors
    /// When a pattern does not parse.
    pub(super) fn new(
        excludes: &[String],
        options: &SourceOptions,
        state_folder: Option<&Path>,
    ) -> Result<Self, BackupError> {
        let includes = &options.includes;
        let state = state_folder.and_then(|folder| {
            let path = folder.canonicalize().ok()?;
            let stat = platform::stat(&path).ok()?;
            Some(StateFolder {
                path,
                device: stat.device,
                inode: stat.inode,
            })
        });
        Ok(Self {
            excludes: ExcludeLines::new(excludes)?,
            includes: (!includes.is_empty()).then(|| patterns(includes)).transpose()?,
            max_file_bytes: options.max_file_bytes.unwrap_or(u64::MAX),
            one_file_system: options.one_file_system,
            leave_out_network_mounts: options.leave_out_network_mounts,
            unstable_inodes: options.unstable_inodes,
            state,
        })
    }

    /// The exclude lines.
    pub(super) fn lines(&self) -> &ExcludeLines {
        &self.excludes
    }

    /// Whether inode numbers and change times say nothing.
    pub(super) fn unstable_inodes(&self) -> bool {
        self.unstable_inodes
    }

    /// Whether patterns must be asked at all.
    pub(super) fn has_patterns(&self) -> bool {
        !self.excludes.is_empty() || self.includes.is_some()
    }

    /// Why a name is left out that lies in what `is_included`; `None` when it is taken, or may hold what is. `path` is relative to the
    /// source's path. With `noted`, lines that match it count as such.
    pub(super) fn leaves_out(
        &self,
        path: &Path,
        is_folder: bool,
        is_included: bool,
        noted: bool,
    ) -> Option<LeftOut> {
        let line = if noted {
            self.excludes.leaving_out_noted(path, is_folder)
        } else {
            self.excludes.leaving_out(path, is_folder)
        };
        let not_included = || !is_folder && !self.includes(path, false, is_included);
        line.map(LeftOut::Line)
            .or_else(|| not_included().then_some(LeftOut::NotIncluded))
    }

    /// Whether a name is included, when what it lies in `is_included`. A folder that is not may still hold what is.
    pub(super) fn includes(&self, path: &Path, is_folder: bool, is_included: bool) -> bool {
        self.includes.as_ref().is_none_or(|includes| {
            let found = includes.matched(path, is_folder);
            found.is_ignore() || (is_included && !found.is_whitelist())
        })
    }

    /// Whether everything is included from the beginning.
    pub(super) fn includes_all(&self) -> bool {
        self.includes.is_none()
    }

    pub(super) fn is_too_large(&self, stat: &Stat) -> bool {
        stat.kind == Kind::File && stat.size_bytes > self.max_file_bytes
    }

    /// What a walk does at a folder of the file system `device` that lies in one of the file system `above`.
    pub(super) fn at_mount(&self, mounts: &Mounts, device: u64, above: u64) -> AtMount {
        if device == above {
            return AtMount::Enter;
        }
        let (kind, name) = mounts.file_system(device);
        match kind {
            // Nobody misses it, so nobody is told where other file systems were not asked for anyway.
            _ if self.one_file_system => AtMount::LeaveOut,
            FileSystemKind::Kernel => AtMount::Pass(format!("{name}: the kernel's own state, no files")),
            FileSystemKind::Merged => {
                AtMount::Pass(format!("{name}: shows files of other folders once more"))
            }
            FileSystemKind::Network
                if self.leave_out_network_mounts
                    && mounts.file_system(above).0 != FileSystemKind::Network =>
            {
                AtMount::Tell(network(name))
            }
            FileSystemKind::Disk | FileSystemKind::Network => AtMount::Enter,
        }
    }

    /// What a walk does at a folder before it opens it, by its absolute path, links resolved, in one of the file system `above`:
    /// opening it might have something mounted, or wait for another machine.
    pub(super) fn before_opening(&self, mounts: &Mounts, path: &[u8], above: u64) -> AtMount {
        if mounts.is_trigger(path) {
            return AtMount::Pass("autofs: nothing is mounted there until somebody enters it".to_owned());
        }
        match mounts.network_at(path) {
            Some(_) if self.one_file_system => AtMount::LeaveOut,
            Some(name)
                if self.leave_out_network_mounts
                    && mounts.file_system(above).0 != FileSystemKind::Network =>
            {
                AtMount::Tell(network(name))
            }
            Some(_) | None => AtMount::Enter,
        }
    }

    /// Whether a path of the source, links resolved, lies inside the state folder.
    pub(super) fn within_state(&self, walked: &Path) -> bool {
        self.state
            .as_ref()
            .is_some_and(|state| walked.starts_with(&state.path))
    }

    pub(super) fn is_state(&self, stat: &Stat) -> bool {
        self.state
            .as_ref()
            .is_some_and(|state| (state.device, state.inode) == (stat.device, stat.inode))
    }
}

fn network(name: &str) -> String {
    format!("{name}: a network mount, which the source does not include")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(excludes: &[&str], includes: &[&str]) -> Result<Filter, BackupError> {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        let options = SourceOptions {
            includes: lines(includes),
            ..SourceOptions::default()
        };
        Filter::new(&lines(excludes), &options, None)
    }

    #[test]
    fn what_is_included_goes_for_all_below_until_another_line_says_no() {
        let filter = filter(&[], &["docs/", "*.rs", "!secret.rs"]).unwrap();
        let included = |path: &str, folder, above| filter.includes(Path::new(path), folder, above);
        assert!(included("docs", true, false) && included("a/docs", true, false));
        assert!(included("docs/x", false, true) && !included("docs/secret.rs", false, true));
        assert!(included("a/b.rs", false, false) && !included("a/b.c", false, false));
        assert!(!filter.includes_all());
    }

    #[test]
    fn a_pattern_that_does_not_parse_is_named() {
        let error = filter(&[], &["fine", "{broken"]).err().unwrap();
        assert!(error.to_string().contains("`{broken`"), "{error}");
    }

    #[test]
    fn mounts_are_entered_by_their_kind() {
        let list = b"1 0 0:1 / / rw - ext4 d rw\n2 1 0:2 / /p rw - proc p rw\n3 1 0:3 / /n rw - nfs4 n rw\n\
                     4 1 0:4 / /var/lib/docker/o rw - overlay o rw\n5 1 0:5 / /d rw - xfs d rw\n\
                     6 1 0:6 / /auto rw - autofs /etc/a rw\n7 3 0:7 / /n/deep rw - nfs4 n rw\n";
        let mounts = Mounts::parse(list);
        let device = |minor| rustix::fs::makedev(0, minor);
        let at = |filter: &Filter, minor| filter.at_mount(&mounts, device(minor), device(1));
        let mut filter = filter(&[], &[]).unwrap();
        assert_eq!((at(&filter, 1), at(&filter, 5)), (AtMount::Enter, AtMount::Enter));
        assert_eq!(at(&filter, 3), AtMount::Enter);
        for (minor, name) in [(2, "proc"), (4, "overlay")] {
            let AtMount::Pass(why) = at(&filter, minor) else {
                panic!("{name} is entered")
            };
            assert!(why.starts_with(name), "{why}");
        }
        let before =
            |filter: &Filter, path: &[u8], minor| filter.before_opening(&mounts, path, device(minor));
        assert!(matches!(before(&filter, b"/auto", 1), AtMount::Pass(_)));
        assert_eq!(before(&filter, b"/n", 1), AtMount::Enter);
        filter.leave_out_network_mounts = true;
        for told in [at(&filter, 3), before(&filter, b"/n", 1)] {
            assert!(matches!(told, AtMount::Tell(why) if why.starts_with("nfs4")));
        }
        assert_eq!(at(&filter, 5), AtMount::Enter);
        // Somebody asked for a path on the other machine: what is mounted there belongs to it.
        assert_eq!(filter.at_mount(&mounts, device(7), device(3)), AtMount::Enter);
        assert_eq!(before(&filter, b"/n/deep", 3), AtMount::Enter);
        filter.one_file_system = true;
        assert!((2..=5).all(|minor| at(&filter, minor) == AtMount::LeaveOut));
        assert_eq!(before(&filter, b"/n", 1), AtMount::LeaveOut);
    }
}
