//! The change that a run commits, in pages. A page is one request of the agent API and one row of the server's, so that
//! neither a reverse proxy's limit nor anybody's memory bounds how much a backup may add.
//!
//! All pages of a run together name what was added, then what was dropped, then the liveness of packs that are used in part, each ascending by hash.
//! So nothing is named twice, and each end sees that with two pages in hand.

use serde::{Deserialize, Serialize};

use crate::object::{ObjectHash, ObjectKind, ObjectRef};

/// A pack that holds chunks which the snapshot no longer needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackLiveness {
    /// The pack.
    pub hash: ObjectHash,
    /// How many of its bytes the snapshot still uses.
    pub live_bytes: u64,
}

/// Entries of a page, at most. The longest page stays below [`PAGE_LIMIT_BYTES`].
pub const ENTRIES_PER_PAGE: usize = 4_000;
/// Pages of a run, at most: four million entries, some 60 TiB in packs of 16 MiB.
pub const PAGES_PER_RUN: u32 = 1_000;
/// The longest body of a page. Half of what nginx lets through unless it is told otherwise.
pub const PAGE_LIMIT_BYTES: usize = crate::limits::Limit::CommitPageBody.max();

/// A part of a run's change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitPage {
    /// Objects that the snapshot needs and its parent did not (without the manifest).
    Added(Vec<ObjectRef>),
    /// Objects that the parent needs and the snapshot does not (without the parent's manifest).
    Dropped(Vec<ObjectHash>),
    /// Packs of which the snapshot uses a part only.
    Liveness(Vec<PackLiveness>),
}

/// What a page holds. The numbers are the order of the pages, and stand in the server's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Section {
    /// [`CommitPage::Added`].
    Added = 1,
    /// [`CommitPage::Dropped`].
    Dropped = 2,
    /// [`CommitPage::Liveness`].
    Liveness = 3,
}

impl Section {
    /// The number that stands for this section.
    #[must_use]
    pub const fn tag(self) -> u8 {
        self as u8
    }

    /// The section of a stored number; `None` for one that this version does not know.
    #[must_use]
    pub const fn from_tag(tag: u8) -> Option<Self> {
        Some(match tag {
            1 => Self::Added,
            2 => Self::Dropped,
            3 => Self::Liveness,
            _ => return None,
        })
    }
}

/// Why a page is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// No entry, or more than [`ENTRIES_PER_PAGE`].
    #[error("a page holds 1 to {ENTRIES_PER_PAGE} entries")]
    Count,
    /// Not ascending by hash, or an entry twice.
    #[error("the entries of a page ascend by hash, and name nothing twice")]
    Order,
    /// A manifest or a commit record.
    #[error("only packs, index segments and list pages can be added")]
    Kind,
    /// The stored bytes are not a page.
    #[error("the bytes are not a page")]
    Bytes,
}

impl CommitPage {
    /// What it holds.
    #[must_use]
    pub const fn section(&self) -> Section {
        match self {
            Self::Added(_) => Section::Added,
            Self::Dropped(_) => Section::Dropped,
            Self::Liveness(_) => Section::Liveness,
        }
    }

    /// How many entries.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Added(entries) => entries.len(),
            Self::Dropped(entries) => entries.len(),
            Self::Liveness(entries) => entries.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries' hashes, in order.
    #[must_use]
    pub fn hashes(&self) -> Vec<ObjectHash> {
        match self {
            Self::Added(entries) => entries.iter().map(|object| object.hash).collect(),
            Self::Dropped(entries) => entries.clone(),
            Self::Liveness(entries) => entries.iter().map(|pack| pack.hash).collect(),
        }
    }

    /// Refuses what no agent that keeps to the protocol sends.
    ///
    /// # Errors
    /// See [`PageError`].
    pub fn check(&self) -> Result<(), PageError> {
        if self.is_empty() || self.len() > ENTRIES_PER_PAGE {
            return Err(PageError::Count);
        }
        if !self.hashes().is_sorted_by(|a, b| a < b) {
            return Err(PageError::Order);
        }
        match self {
            Self::Added(entries)
                if entries
                    .iter()
                    .any(|object| matches!(object.kind, ObjectKind::Manifest | ObjectKind::Commit)) =>
            {
                Err(PageError::Kind)
            }
            _ => Ok(()),
        }
    }

    /// The stored form: the section, then records of one width each. One page has one form, so its hash tells whether two
    /// pages are the same.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.section().tag()];
        match self {
            Self::Added(entries) => entries.iter().for_each(|object| {
                bytes.extend_from_slice(object.hash.as_bytes());
                bytes.push(object.kind.tag());
                bytes.extend_from_slice(&object.size_bytes.to_be_bytes());
            }),
            Self::Dropped(entries) => entries
                .iter()
                .for_each(|hash| bytes.extend_from_slice(hash.as_bytes())),
            Self::Liveness(entries) => entries.iter().for_each(|pack| {
                bytes.extend_from_slice(pack.hash.as_bytes());
                bytes.extend_from_slice(&pack.live_bytes.to_be_bytes());
            }),
        }
        bytes
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`PageError::Bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PageError> {
        let (tag, rest) = bytes.split_first().ok_or(PageError::Bytes)?;
        let page = match Section::from_tag(*tag).ok_or(PageError::Bytes)? {
            Section::Added => records(rest, |hash, [kind, size @ ..]: [u8; 9]| {
                Some(ObjectRef {
                    kind: ObjectKind::from_tag(kind)?,
                    hash,
                    size_bytes: u64::from_be_bytes(size),
                })
            })
            .map(Self::Added),
            Section::Dropped => records(rest, |hash, []: [u8; 0]| Some(hash)).map(Self::Dropped),
            Section::Liveness => records(rest, |hash, live_bytes: [u8; 8]| {
                Some(PackLiveness {
                    hash,
                    live_bytes: u64::from_be_bytes(live_bytes),
                })
            })
            .map(Self::Liveness),
        };
        page.ok_or(PageError::Bytes)
    }
}

/// Records of a hash and `N` bytes.
fn records<const N: usize, T>(
    bytes: &[u8],
    read: impl Fn(ObjectHash, [u8; N]) -> Option<T>,
) -> Option<Vec<T>> {
    let (records, rest) = (bytes.chunks_exact(32 + N), bytes.len() % (32 + N));
    if rest != 0 {
        return None;
    }
    records
        .map(|record| {
            let (hash, rest) = record.split_first_chunk::<32>()?;
            read(ObjectHash::from_bytes(*hash), rest.try_into().ok()?)
        })
        .collect()
}

/// Cuts a change into pages, all full but the last of each section. The lists may be in any order.
#[must_use]
pub fn pages(
    mut added: Vec<ObjectRef>,
    mut dropped: Vec<ObjectHash>,
    mut liveness: Vec<PackLiveness>,
) -> Vec<CommitPage> {
    added.sort_unstable_by_key(|object| object.hash);
    dropped.sort_unstable();
    liveness.sort_unstable_by_key(|pack| pack.hash);
    let added = added.chunks(ENTRIES_PER_PAGE);
    let dropped = dropped.chunks(ENTRIES_PER_PAGE);
    let liveness = liveness.chunks(ENTRIES_PER_PAGE);
    added
        .map(|part| CommitPage::Added(part.to_vec()))
        .chain(dropped.map(|part| CommitPage::Dropped(part.to_vec())))
        .chain(liveness.map(|part| CommitPage::Liveness(part.to_vec())))
        .collect()
}

/// What all pages of a run come to, as the commit names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageTotals {
    /// How many pages, numbered from 0.
    pub pages: u32,
    /// Objects added.
    pub added: u64,
    /// Objects dropped.
    pub dropped: u64,
    /// Packs that are used in part.
    pub liveness: u64,
    /// Hash of the pages' hashes, one after the other.
    pub digest: ObjectHash,
}

impl PageTotals {
    /// Of these pages, given as section, number of entries and hash of the stored form each, in order.
    pub fn of(
        pages: impl IntoIterator<Item = (Section, u64, ObjectHash)>,
        hash: impl Fn(&[u8]) -> ObjectHash,
    ) -> Self {
        let (mut number, mut added, mut dropped, mut liveness) = (0_u32, 0_u64, 0_u64, 0_u64);
        let mut digests = Vec::new();
        for (section, entries, digest) in pages {
            number = number.saturating_add(1);
            let count = match section {
                Section::Added => &mut added,
                Section::Dropped => &mut dropped,
                Section::Liveness => &mut liveness,
            };
            *count = count.saturating_add(entries);
            digests.extend_from_slice(digest.as_bytes());
        }
        Self {
            pages: number,
            added,
            dropped,
            liveness,
            digest: hash(&digests),
        }
    }

    /// Of whole pages.
    pub fn of_pages(pages: &[CommitPage], hash: impl Fn(&[u8]) -> ObjectHash) -> Self {
        let described = pages
            .iter()
            .map(|page| (page.section(), page.len() as u64, hash(&page.to_bytes())));
        Self::of(described, &hash)
    }
}

/// A page that the server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPage {
    /// Its number.
    pub number: u32,
    /// Hash of its stored form ([`CommitPage::to_bytes`]).
    pub digest: ObjectHash,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: usize) -> ObjectHash {
        let mut bytes = [0xab; 32];
        bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
        ObjectHash::from_bytes(bytes)
    }

    fn object(number: usize, kind: ObjectKind) -> ObjectRef {
        ObjectRef {
            kind,
            hash: hash(number),
            size_bytes: u64::MAX,
        }
    }

    fn liveness(number: usize) -> PackLiveness {
        PackLiveness {
            hash: hash(number),
            live_bytes: u64::MAX,
        }
    }

    /// With the longest words and numbers that there are.
    #[test]
    fn the_longest_page_stays_below_the_limit() {
        let full = 0..ENTRIES_PER_PAGE;
        let longest = [
            CommitPage::Added(full.clone().map(|n| object(n, ObjectKind::TreePack)).collect()),
            CommitPage::Dropped(full.clone().map(hash).collect()),
            CommitPage::Liveness(full.map(liveness).collect()),
        ];
        let lengths = longest.map(|page| {
            assert_eq!(page.check(), Ok(()));
            serde_json::to_vec(&page).unwrap().len()
        });
        assert!(
            lengths.iter().all(|bytes| *bytes <= PAGE_LIMIT_BYTES),
            "{lengths:?}"
        );
        assert!(
            lengths[0] * 10 > PAGE_LIMIT_BYTES * 9,
            "pages could hold more: {lengths:?}"
        );
    }

    #[test]
    fn pages_are_cut_in_order_and_read_back() {
        let added: Vec<ObjectRef> = (0..9_001).rev().map(|n| object(n, ObjectKind::Pack)).collect();
        let cut = pages(added.clone(), vec![hash(3), hash(1)], vec![liveness(7)]);
        let lengths: Vec<_> = cut.iter().map(|page| (page.section(), page.len())).collect();
        assert_eq!(
            lengths,
            [
                (Section::Added, 4_000),
                (Section::Added, 4_000),
                (Section::Added, 1_001),
                (Section::Dropped, 2),
                (Section::Liveness, 1)
            ]
        );
        for page in &cut {
            assert_eq!(page.check(), Ok(()));
            assert_eq!(CommitPage::from_bytes(&page.to_bytes()).as_ref(), Ok(page));
            let mut cut_short = page.to_bytes();
            cut_short.pop();
            assert_eq!(CommitPage::from_bytes(&cut_short), Err(PageError::Bytes));
        }
        let ends: Vec<_> = cut
            .iter()
            .flat_map(|page| page.hashes().into_iter().map(|hash| (page.section(), hash)))
            .collect();
        assert!(ends.is_sorted_by(|a, b| a < b));
        let totals = PageTotals::of_pages(&cut, |bytes| hash(bytes.len()));
        assert_eq!(
            (
                totals.pages,
                totals.added,
                totals.dropped,
                totals.liveness,
                totals.digest
            ),
            (5, 9_001, 2, 1, hash(5 * 32))
        );
        assert_eq!(pages(vec![], vec![], vec![]), []);
    }

    #[test]
    fn a_page_that_breaks_the_rules_is_refused() {
        let one = object(1, ObjectKind::Pack);
        let two = object(2, ObjectKind::Pack);
        for (page, error) in [
            (CommitPage::Added(vec![]), PageError::Count),
            (
                CommitPage::Dropped((0..=ENTRIES_PER_PAGE).map(hash).collect()),
                PageError::Count,
            ),
            (CommitPage::Added(vec![two, one]), PageError::Order),
            (CommitPage::Added(vec![one, one]), PageError::Order),
            (
                CommitPage::Liveness(vec![liveness(1), liveness(1)]),
                PageError::Order,
            ),
            (
                CommitPage::Added(vec![one, object(2, ObjectKind::Manifest)]),
                PageError::Kind,
            ),
            (
                CommitPage::Added(vec![object(2, ObjectKind::Commit)]),
                PageError::Kind,
            ),
        ] {
            assert_eq!(page.check(), Err(error), "{page:?}");
        }
        for bytes in [&[][..], &[9], &[0; 33], &[1; 41], &[1; 43]] {
            assert_eq!(CommitPage::from_bytes(bytes), Err(PageError::Bytes), "{bytes:?}");
        }
    }
}
