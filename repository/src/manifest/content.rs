//! The manifest's sealed part, in both versions.

use minicbor::{Decode, Encode};

use super::{
    ManifestError,
    warning::{MAX_WARNING_PAGES, MAX_WARNINGS, Warning},
};
use crate::{
    chunk::{ChunkId, ChunkKey},
    further::Further,
    owners::{OwnerTable, WireTable},
    tree::Entry,
    wire::{self, WireError},
};

/// No name index has more pages.
pub const MAX_INDEX_PAGES: usize = 65_536;

/// A path of the source and what stood there.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Root {
    /// The absolute path.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub path: Vec<u8>,
    /// What stood there. Its name is the path's last part, or `root` for `/`.
    #[n(1)]
    pub entry: Entry,
    /// Where the path's links led at the backup, when they led elsewhere: the absolute path that was walked.
    #[n(2)]
    pub walked: Option<minicbor::bytes::ByteVec>,
}

impl Root {
    fn is_version_1(&self) -> bool {
        self.walked.is_none() && self.entry.is_version_1()
    }

    pub(crate) fn check(&self) -> Result<(), ManifestError> {
        self.entry.check()?;
        match &self.walked {
            Some(walked) if !walked.starts_with(b"/") || walked.contains(&0) || **walked == self.path => {
                Err(WireError::Malformed { what: "walked path" }.into())
            }
            _ => Ok(()),
        }
    }
}

/// Whether roots can be written in version 1.
pub(crate) fn are_version_1(roots: &[Root]) -> bool {
    roots.iter().all(Root::is_version_1)
}

/// Where what was not backed up whole is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WarningList {
    /// Here, in manifests of version 1.
    Inline(Vec<Warning>),
    /// In these chunks, in order: see [`decode_warning_page`](super::decode_warning_page).
    Pages(Vec<ChunkId>),
}

impl Default for WarningList {
    fn default() -> Self {
        Self::Pages(Vec::new())
    }
}

/// Where an index of names lies. No writer makes one yet; readers check that it is bounded, and pass over it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct NameIndex {
    /// How it is made. 0 is never used.
    #[n(0)]
    pub form: u32,
    /// Chunks in tree packs, in order.
    #[n(1)]
    pub pages: Vec<ChunkId>,
}

/// What only the recovery kit opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestContent {
    /// The source's name.
    pub source_name: String,
    /// The endpoint's host name.
    pub hostname: String,
    /// What was backed up, ascending by path.
    pub roots: Vec<Root>,
    /// What names this source's chunks.
    pub chunk_key: ChunkKey,
    /// What was not backed up whole; the header's totals count all of it.
    pub warnings: WarningList,
    /// Names of owners and groups.
    pub owners: OwnerTable,
    /// An index of names.
    pub name_index: Option<NameIndex>,
    /// What later writers add and readers may pass over.
    pub further: Option<Further>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Version1 {
    #[n(0)]
    source_name: String,
    #[n(1)]
    hostname: String,
    #[n(2)]
    roots: Vec<Root>,
    #[n(3)]
    chunk_key: ChunkKey,
    #[n(4)]
    warnings: Vec<Warning>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Version2 {
    #[n(0)]
    source_name: String,
    #[n(1)]
    hostname: String,
    #[n(2)]
    roots: Vec<Root>,
    #[n(3)]
    chunk_key: ChunkKey,
    // 4 were the warnings of version 1.
    #[n(5)]
    warnings: Vec<ChunkId>,
    #[n(6)]
    owners: Option<WireTable>,
    #[n(7)]
    name_index: Option<NameIndex>,
    #[n(8)]
    further: Option<Further>,
}

impl ManifestContent {
    /// A content without warnings and names.
    #[must_use]
    pub fn new(source_name: String, hostname: String, roots: Vec<Root>, chunk_key: ChunkKey) -> Self {
        Self {
            source_name,
            hostname,
            roots,
            chunk_key,
            warnings: WarningList::default(),
            owners: OwnerTable::default(),
            name_index: None,
            further: None,
        }
    }

    /// The version of the manifest that it is the sealed part of.
    pub(crate) fn version(&self) -> u8 {
        match self.warnings {
            WarningList::Inline(_) => 1,
            WarningList::Pages(_) => 2,
        }
    }

    /// In version 1 when its warnings are those of one, and else in version 2.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (source_name, hostname) = (self.source_name.clone(), self.hostname.clone());
        let (roots, chunk_key) = (self.roots.clone(), self.chunk_key.clone());
        match &self.warnings {
            WarningList::Inline(warnings) => wire::encode(&Version1 {
                source_name,
                hostname,
                roots,
                chunk_key,
                warnings: warnings.clone(),
            }),
            WarningList::Pages(pages) => wire::encode(&Version2 {
                source_name,
                hostname,
                roots,
                chunk_key,
                warnings: pages.clone(),
                owners: Option::from(&self.owners),
                name_index: self.name_index.clone(),
                further: self.further.clone(),
            }),
        }
    }
}

/// Reads the sealed part of a manifest of this version.
pub(crate) fn decode_content(content: &[u8], version: u8) -> Result<ManifestContent, ManifestError> {
    const WHAT: &str = "manifest sealed part";
    let refused = || ManifestError::from(WireError::Malformed { what: WHAT });
    let content = if version == 1 {
        let read: Version1 = wire::decode(content, WHAT)?;
        if !are_version_1(&read.roots) {
            return Err(refused());
        }
        ManifestContent {
            warnings: WarningList::Inline(read.warnings),
            ..ManifestContent::new(read.source_name, read.hostname, read.roots, read.chunk_key)
        }
    } else {
        let read: Version2 = wire::decode(content, WHAT)?;
        let index = read.name_index.as_ref();
        let is_bounded = read.warnings.len() <= MAX_WARNING_PAGES
            && index.is_none_or(|index| index.form > 0 && (1..=MAX_INDEX_PAGES).contains(&index.pages.len()))
            && read
                .further
                .as_ref()
                .is_none_or(|further| further.check().is_ok());
        if !is_bounded {
            return Err(refused());
        }
        ManifestContent {
            warnings: WarningList::Pages(read.warnings),
            owners: read.owners.try_into()?,
            name_index: read.name_index,
            further: read.further,
            ..ManifestContent::new(read.source_name, read.hostname, read.roots, read.chunk_key)
        }
    };
    if matches!(&content.warnings, WarningList::Inline(all) if all.len() > MAX_WARNINGS) {
        return Err(refused());
    }
    content.roots.iter().try_for_each(Root::check)?;
    Ok(content)
}
