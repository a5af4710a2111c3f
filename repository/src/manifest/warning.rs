//! What was not backed up whole, file by file. In manifests of version 1 it stands in the sealed part; from version 2 on
//! in pages, which are chunks in tree packs: the same warnings again take no room, and a hundred thousand of them leave
//! the manifest small.

use minicbor::{Decode, Encode};

use super::ManifestError;
use crate::{
    chunk::{self, ChunkKey},
    tree::ends_page,
    wire::{self, WireError},
};

/// No snapshot lists more; its totals count all.
pub const MAX_WARNINGS: usize = 100_000;
/// All that are listed take no more bytes: paths and details.
pub const MAX_WARNING_BYTES: usize = 16 * 1024 * 1024;
/// No detail is longer, in bytes.
pub const MAX_DETAIL_BYTES: usize = 1024;
/// No snapshot has more pages of them.
pub const MAX_WARNING_PAGES: usize = 1024;
/// A page ends at a fitting path from this size on.
const PAGE_MIN: usize = 64 * 1024;
/// A page ends here at the latest, but for a single warning that is larger.
const PAGE_MAX: usize = 512 * 1024;
/// One path in so many ends a page.
const PAGE_PATHS: u16 = 256;

/// What was not backed up whole. Never reuse a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum WarningKind {
    /// It could not be read; it is missing.
    #[n(1)]
    Unreadable,
    /// It was there when its folder was listed and gone when it was to be read.
    #[n(2)]
    Vanished,
    /// It changed while it was read: what is stored may mix old and new.
    #[n(3)]
    ChangedWhileRead,
    /// A device, pipe or socket in a folder: not backed up. A note: the totals count it apart from warnings.
    #[n(4)]
    UnsupportedType,
    /// Its extended attributes could not be read; its content is whole.
    #[n(5)]
    MetadataIncomplete,
    /// A path of the source that does not exist.
    #[n(6)]
    PathMissing,
    /// Its listing entry is too large to be stored; it is missing.
    #[n(7)]
    TooLarge,
    /// What is mounted there is left out: the kernel's own state, files that are elsewhere too, or a network mount that
    /// the source does not include. A note; the folder itself is backed up, empty.
    #[n(8)]
    MountLeftOut,
    /// An exclude line that is no pattern, in the place of the path: it left out nothing.
    #[n(9)]
    ExcludeUnread,
    /// The source's first path: no file was taken, although something is there.
    #[n(10)]
    NothingTaken,
}

impl WarningKind {
    /// Whether it tells of something that no backup holds, and nothing is wrong.
    #[must_use]
    pub fn is_note(self) -> bool {
        matches!(self, Self::UnsupportedType | Self::MountLeftOut)
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u32 {
        // One byte below 24, so is every number for long.
        minicbor::decode(&wire::encode(&self)).unwrap_or_default()
    }

    fn of(number: u32) -> Option<Self> {
        minicbor::decode(&wire::encode(&number)).ok()
    }

    /// What it means, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Unreadable => "could not be read and is missing",
            Self::Vanished => "was gone when it was to be read",
            Self::ChangedWhileRead => "changed while it was read",
            Self::UnsupportedType => "is no file, folder or link",
            Self::MetadataIncomplete => "is there without all its attributes",
            Self::PathMissing => "is a path of the source that was not there",
            Self::TooLarge => "is too large to be listed and is missing",
            Self::MountLeftOut => "is left out: something is mounted there",
            Self::ExcludeUnread => "is an exclude line that is no pattern: it left out nothing",
            Self::NothingTaken => "gave no file, although something is there",
        }
    }
}

/// One thing that was not backed up whole.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Warning {
    /// Where.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub path: Vec<u8>,
    /// What.
    #[n(1)]
    pub kind: WarningKind,
    /// What the system said.
    #[n(2)]
    pub detail: String,
}

/// One thing as a reader finds it: its writer may have been a later one, with kinds that the reader does not know.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct ListedWarning {
    /// Where.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub path: Vec<u8>,
    /// The number of its kind.
    #[n(1)]
    pub kind: u32,
    /// Whether nothing is wrong.
    #[n(2)]
    pub is_note: bool,
    /// What the system said.
    #[n(3)]
    pub detail: String,
}

impl ListedWarning {
    /// Its kind, where it is known.
    #[must_use]
    pub fn known_kind(&self) -> Option<WarningKind> {
        WarningKind::of(self.kind)
    }
}

impl From<&Warning> for ListedWarning {
    fn from(warning: &Warning) -> Self {
        let mut end = warning.detail.len().min(MAX_DETAIL_BYTES);
        while !warning.detail.is_char_boundary(end) {
            end -= 1;
        }
        Self {
            path: warning.path.clone(),
            kind: warning.kind.number(),
            is_note: warning.kind.is_note(),
            detail: warning.detail[..end].to_owned(),
        }
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Page {
    #[n(0)]
    warnings: Vec<ListedWarning>,
}

/// Pages of warnings, as they are stored. Sorted by path; what is beyond the limits is left out: first the notes of the
/// last paths, then warnings.
#[must_use]
pub fn encode_warnings(warnings: &[Warning], names: &ChunkKey) -> Vec<Vec<u8>> {
    let mut listed: Vec<ListedWarning> = warnings.iter().map(ListedWarning::from).collect();
    listed.sort_unstable_by(|a, b| (a.is_note, &a.path, a.kind).cmp(&(b.is_note, &b.path, b.kind)));
    let mut left = MAX_WARNING_BYTES;
    listed.retain(|warning| {
        let size = warning.path.len() + warning.detail.len();
        let fits = size <= left && warning.path.len() <= chunk::MAX_BYTES / 4;
        left -= if fits { size } else { 0 };
        fits
    });
    listed.truncate(MAX_WARNINGS);
    listed.sort_unstable_by(|a, b| (&a.path, a.kind, &a.detail).cmp(&(&b.path, b.kind, &b.detail)));
    let mut pages = Vec::new();
    let (mut page, mut size) = (Vec::new(), 0);
    for warning in listed {
        let len = warning.path.len() + warning.detail.len() + 16;
        if size > 0 && size + len > PAGE_MAX {
            pages.push(encode_warning_page(std::mem::take(&mut page)));
            size = 0;
        }
        size += len;
        let ends = size >= PAGE_MIN && ends_page(names.id(&warning.path), PAGE_PATHS);
        page.push(warning);
        if ends {
            pages.push(encode_warning_page(std::mem::take(&mut page)));
            size = 0;
        }
    }
    if !page.is_empty() {
        pages.push(encode_warning_page(page));
    }
    pages
}

pub(crate) fn encode_warning_page(warnings: Vec<ListedWarning>) -> Vec<u8> {
    wire::encode(&Page { warnings })
}

/// Decodes a page of warnings.
///
/// # Errors
/// When it is not one.
pub fn decode_warning_page(bytes: &[u8]) -> Result<Vec<ListedWarning>, ManifestError> {
    let page: Page = wire::decode(bytes, "warnings")?;
    let is_sound = page
        .warnings
        .iter()
        .all(|warning| warning.detail.len() <= MAX_DETAIL_BYTES)
        && page.warnings.is_sorted_by(|a, b| a.path <= b.path)
        && (1..=MAX_WARNINGS).contains(&page.warnings.len());
    if is_sound {
        Ok(page.warnings)
    } else {
        Err(WireError::Malformed { what: "warnings" }.into())
    }
}
