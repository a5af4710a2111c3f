//! A snapshot that is open: who signed it is settled, the kit opens it, and what it needs is known.

use std::collections::BTreeMap;

use repository::{
    manifest::{self, ManifestContent, ManifestHeader},
    object_list::{ListError, Page},
    recovery::RecoverySecret,
};
use shared::{
    api::agent::Part,
    object::{ObjectHash, ObjectRef},
};

use super::{
    damage::{Failure, Fault},
    error::SnapshotError,
};
use crate::{parallel, store::ObjectSource};

/// Small objects read at the same time.
pub(super) const READERS: usize = 8;
/// An open snapshot.
pub struct Snapshot {
    /// What only the kit opens.
    pub content: ManifestContent,
    /// The objects that it needs; when pages of its list are lost, those of which anything is still known.
    pub objects: Vec<ObjectRef>,
    /// How many files were left out or not whole at the backup.
    pub warnings: u64,
    /// Pages of its list that are no use.
    pub lost_pages: Vec<(ObjectRef, Fault)>,
}

impl Snapshot {
    /// Opens the sealed part and reads the list. The header must be verified.
    ///
    /// # Errors
    /// When the kit does not open it, or the storage cannot be asked. Lost pages are no error.
    pub fn open(
        source: &dyn ObjectSource,
        bytes: &[u8],
        header: &ManifestHeader,
        secret: &RecoverySecret,
    ) -> Result<Self, SnapshotError> {
        let content = manifest::open_content(bytes, secret)?;
        let pages: Vec<ObjectRef> = header.list.pages().copied().collect();
        source.expect(&pages.iter().map(Part::whole).collect::<Vec<_>>());
        let mut read = BTreeMap::new();
        let mut lost_pages = Vec::new();
        let asked = parallel::map(READERS, &pages, |page| -> Result<_, Failure<Fault>> {
            let bytes = source.read(page, None)?;
            let decoded = Page::decode(&bytes).map_err(|error| Fault::Damaged {
                what: error.to_string(),
            })?;
            Ok((bytes, decoded))
        });
        for (page, asked) in pages.iter().zip(asked) {
            match asked {
                Ok(parts) => drop(read.insert(page.hash, parts)),
                Err(Failure::One(fault)) => lost_pages.push((*page, fault)),
                Err(Failure::All(error)) => return Err(error),
            }
        }
        let objects = if lost_pages.is_empty() {
            header.objects(|page| {
                let bytes = read.get(&page.hash).map(|(bytes, _)| bytes.clone());
                bytes.ok_or(ListError::OtherPages)
            })?
        } else {
            // More than the snapshot needs, and perhaps not all of it: what is in a pack decides.
            let mut known: BTreeMap<ObjectHash, ObjectRef> = BTreeMap::new();
            let listed = read.values().flat_map(|(_, page)| page.delta.added());
            let of_source = source.everything();
            for object in header
                .list
                .inline()
                .added()
                .iter()
                .chain(listed)
                .chain(&of_source)
            {
                known.insert(object.hash, *object);
            }
            known.into_values().collect()
        };
        Ok(Self {
            content,
            objects,
            warnings: header.totals.warnings,
            lost_pages,
        })
    }
}
