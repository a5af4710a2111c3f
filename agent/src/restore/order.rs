//! What a restore is told, and what it tells.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use serde::Serialize;
use shared::words::counted;

use super::{
    contents::Contents,
    inspect::{Action, Inspection, Overwrite},
};
use crate::{
    owners::OwnerPolicy,
    platform::metadata::MetadataWriter,
    snapshot::{Loss, Tree, What},
};

/// Where a plan goes, and how.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// The folder below which everything is put: `/srv/a` goes to `<folder>/srv/a`.
    pub target: PathBuf,
    /// What happens to files that are there.
    pub overwrite: Overwrite,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Read every file again in the end, from the disk, and compare it with its chunks' ids. Without it, every chunk is
    /// checked before it is written, and what the disk does with it is not.
    pub verify: bool,
    /// How owners are put back.
    pub owners: OwnerPolicy,
}

impl Order {
    /// Whether everything goes to where it was.
    pub(super) fn is_in_place(&self) -> bool {
        self.target == Path::new("/")
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What could not be put back exactly, and what is worth knowing.
    pub notes: Vec<String>,
    /// What was not put back: of a folder and what is in it, the folder.
    pub losses: Vec<Loss>,
    /// How many files, folders and links were not put back, those in lost folders among them, as far as their number is
    /// known.
    pub lost: u64,
    /// How many files, folders and links were put back or given their looks.
    pub restored: u64,
    /// What would be done, when nothing else was asked for.
    pub dry_run: Option<DryRun>,
}

impl Outcome {
    /// Whether everything that was asked for is there now.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.losses.is_empty()
    }

    /// What was lost and what was not, for a restore that is not complete.
    #[must_use]
    pub fn conclusion(&self) -> String {
        let items = |count: u64, one: &str, many: &str| {
            counted(
                count,
                &format!("file, folder or link {one}"),
                &format!("files, folders or links {many}"),
            )
        };
        if self.dry_run.is_some() {
            let lost = items(self.lost, "would not be put back", "would not be put back");
            return format!("incomplete: {lost}");
        }
        let lost = items(self.lost, "was not", "were not");
        if self.restored == 0 {
            return format!("nothing was put back: {lost}");
        }
        let restored = items(self.restored, "was", "were");
        format!("incomplete: {lost} put back, and {restored}")
    }

    /// Counts what is lost: each loss, and what is in lost folders.
    pub(super) fn count_lost(&mut self, plan: &Tree, actions: &[Action]) {
        let named: HashSet<&str> = self.losses.iter().map(|loss| loss.path.as_str()).collect();
        let lost = (0..).zip(actions).filter(|(_, action)| **action == Action::Lost);
        let unnamed = lost.filter(|(item, _)| !named.contains(plan.path(*item).as_str()));
        self.lost = self.losses.len() as u64 + unnamed.count() as u64;
    }

    /// What the server may know of what is missing: no names of files.
    pub(super) fn public(&self) -> Option<String> {
        (!self.losses.is_empty()).then(|| {
            let lost = counted(self.lost, "file, folder or link", "files, folders or links");
            format!("incomplete: {lost} could not be put back; the agent's output has the names")
        })
    }
}

/// What a restore would do.
#[derive(Debug, Serialize)]
pub struct DryRun {
    /// What would be made, replaced or given its looks. Everything else stays as it is.
    pub steps: Vec<Step>,
    /// Bytes of files that would be written.
    pub bytes_to_write: u64,
    /// Bytes that would be read from the storage.
    pub bytes_to_fetch: u64,
    /// Packs that would be read.
    pub packs_to_read: u64,
}

/// One step of a restore.
#[derive(Debug, Serialize)]
pub struct Step {
    /// What happens.
    pub action: Action,
    /// To what.
    pub path: String,
    /// Its length, if it is a file.
    pub size_bytes: u64,
}

/// Files that are to be fetched.
pub(super) fn to_make<'s>(
    actions: &'s [Action],
    links: &'s HashMap<usize, usize>,
) -> impl Iterator<Item = usize> + 's {
    (0..).zip(actions).filter_map(|(item, action)| {
        let made = matches!(action, Action::Make | Action::Replace) && !links.contains_key(&item);
        made.then_some(item)
    })
}

pub(super) fn dry_run(
    plan: &Tree,
    inspection: &Inspection,
    links: &HashMap<usize, usize>,
    contents: &Contents<'_>,
) -> DryRun {
    let (bytes_to_fetch, packs_to_read) = contents.to_fetch();
    let steps = (0..).zip(&plan.items).zip(&inspection.actions);
    DryRun {
        steps: steps
            .filter(|(_, action)| matches!(action, Action::Make | Action::Replace | Action::Refresh))
            .map(|((index, item), action)| Step {
                action: *action,
                path: plan.path(index),
                size_bytes: item.size_bytes(),
            })
            .collect(),
        bytes_to_write: to_make(&inspection.actions, links)
            .map(|item| plan.items[item].size_bytes())
            .sum(),
        bytes_to_fetch,
        packs_to_read,
    }
}

pub(super) fn notes(plan: &Tree, actions: &[Action], metadata: MetadataWriter) -> Vec<String> {
    let mut notes = Vec::new();
    if !metadata.as_root() {
        notes.push("not run as root: files belong to you, not to their former owners".to_owned());
    }
    let count = |wanted: &[Action], folders: bool| {
        let both = actions.iter().zip(&plan.items);
        both.filter(|(action, item)| {
            wanted.contains(action) && item.looks.is_some() && matches!(item.what, What::Folder) == folders
        })
        .count()
    };
    let mut say = |count: usize, what: &str| {
        if count > 0 {
            notes.push(format!("{count} {what}"));
        }
    };
    say(
        count(&[Action::Keep], false),
        "files or links were there already and stayed as they are (overwrite policy `never`)",
    );
    say(
        count(&[Action::Keep], true),
        "folders were there already and kept their permissions and times",
    );
    say(
        count(&[Action::Same, Action::Refresh], false),
        "files or links were there already with the content of the backup",
    );
    notes.extend(metadata.notes());
    notes
}
