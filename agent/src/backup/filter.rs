//! What a source takes and what it leaves out: patterns in gitignore syntax, relative to each path of the source,
//! sizes and file systems; and never the agent's own state.

use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use shared::api::agent::SourceSpec;

use super::error::BackupError;
use crate::platform::{self, FileSystemKind, Kind, Mounts, Stat};

/// What is taken of one source.
pub(super) struct Filter {
    excludes: Gitignore,
    /// `None`: everything that is not excluded.
    includes: Option<Gitignore>,
    max_file_bytes: u64,
    one_file_system: bool,
    state: Option<StateFolder>,
    /// Stored exclude lines that are no patterns, and why.
    unread: Vec<(String, String)>,
}

/// What a walk does where another file system may begin.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AtMount {
    /// It goes on.
    Enter,
    /// It keeps the folder, empty.
    LeaveOut,
    /// The same, and notes why.
    Tell(String),
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
    pub(super) fn new(source: &SourceSpec, state_folder: Option<&Path>) -> Result<Self, BackupError> {
        let includes = &source.options.includes;
        let state = state_folder.and_then(|folder| {
            let path = folder.canonicalize().ok()?;
            let stat = platform::stat(&path).ok()?;
            Some(StateFolder {
                path,
                device: stat.device,
                inode: stat.inode,
            })
        });
        let (mut taken, mut unread) = (Vec::new(), Vec::new());
        for line in &source.excludes {
            match patterns(std::slice::from_ref(line)) {
                Ok(_) => taken.push(line.clone()),
                Err(error) => unread.push((line.clone(), error.to_string())),
            }
        }
        Ok(Self {
            excludes: patterns(&taken)?,
            unread,
            includes: (!includes.is_empty()).then(|| patterns(includes)).transpose()?,
            max_file_bytes: source.options.max_file_bytes.unwrap_or(u64::MAX),
            one_file_system: source.options.one_file_system,
            state,
        })
    }

    /// Exclude lines that leave out nothing, since they are no patterns, and why.
    pub(super) fn unread(&self) -> &[(String, String)] {
        &self.unread
    }

    /// Whether patterns must be asked at all.
    pub(super) fn has_patterns(&self) -> bool {
        !self.excludes.is_empty() || self.includes.is_some()
    }

    /// Whether a name is left out. `path` is relative to the source's path.
    pub(super) fn excludes(&self, path: &Path, is_folder: bool) -> bool {
        self.excludes.matched(path, is_folder).is_ignore()
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
            FileSystemKind::Kernel => AtMount::Tell(format!("{name}: the kernel's own state, no files")),
            FileSystemKind::Merged => {
                AtMount::Tell(format!("{name}: shows files of other folders once more"))
            }
            FileSystemKind::Disk => AtMount::Enter,
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

fn patterns(lines: &[String]) -> Result<Gitignore, BackupError> {
    let wrong = |pattern: String, error: ignore::Error| BackupError::Pattern {
        pattern,
        error: error.to_string(),
    };
    let mut builder = GitignoreBuilder::new("");
    for line in lines {
        builder
            .add_line(None, line)
            .map_err(|error| wrong(line.clone(), error))?;
    }
    builder.build().map_err(|error| wrong(lines.join(" "), error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::{api::agent::SourceOptions, ids::SourceId};

    fn filter(excludes: &[&str], includes: &[&str]) -> Result<Filter, BackupError> {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        let source = SourceSpec {
            id: SourceId::from_uuid(uuid::Uuid::nil()),
            name: String::new(),
            paths: Vec::new(),
            excludes: lines(excludes),
            options: SourceOptions {
                includes: lines(includes),
                ..SourceOptions::default()
            },
        };
        Filter::new(&source, None)
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

    /// Lines of before they could be refused: none fails a run, and what one left out stays out.
    #[test]
    fn a_stored_exclude_line_that_is_no_pattern_is_told_of() {
        let filter = filter(&["fine", "secret\\", "log[0-"], &[]).unwrap();
        let lines: Vec<&str> = filter.unread().iter().map(|(line, _)| line.as_str()).collect();
        assert_eq!(lines, ["secret\\"]);
        for name in ["fine", "log[0-"] {
            assert!(filter.excludes(Path::new(name), false), "{name}");
        }
    }

    #[test]
    fn mounts_are_entered_by_their_kind() {
        let list = b"1 0 0:1 / / rw - ext4 d rw\n2 1 0:2 / /p rw - proc p rw\n3 1 0:3 / /n rw - nfs4 n rw\n\
                     4 1 0:4 / /var/lib/docker/o rw - overlay o rw\n5 1 0:5 / /d rw - xfs d rw\n";
        let mounts = Mounts::parse(list);
        let device = |minor| rustix::fs::makedev(0, minor);
        let at = |filter: &Filter, minor| filter.at_mount(&mounts, device(minor), device(1));
        let mut filter = filter(&[], &[]).unwrap();
        assert_eq!((at(&filter, 1), at(&filter, 5)), (AtMount::Enter, AtMount::Enter));
        assert_eq!(at(&filter, 3), AtMount::Enter);
        for (minor, name) in [(2, "proc"), (4, "overlay")] {
            let AtMount::Tell(why) = at(&filter, minor) else {
                panic!("{name} is entered")
            };
            assert!(why.starts_with(name), "{why}");
        }
        filter.one_file_system = true;
        assert!((2..=5).all(|minor| at(&filter, minor) == AtMount::LeaveOut));
    }
}
