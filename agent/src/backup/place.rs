//! Whether a chunk is in the bucket already, and on its way there if it is not.

use repository::{
    chunk::{ChunkId, ChunkRef},
    tree::{self, Content, Node},
};

use super::{
    BackupError,
    scan::{FreshChunk, Scanner},
};
use crate::cache::FileRecord;

impl Scanner<'_, '_> {
    /// A file's content from the last run, if all its chunks are still there.
    pub(super) fn reuse(
        &mut self,
        record: &FileRecord,
        even_blocked: bool,
    ) -> Result<Option<Content>, BackupError> {
        let Node::File { content, .. } = &record.entry.node else {
            return Ok(None);
        };
        let chunks = match (content, &record.chunks) {
            (Content::Direct(chunks), _) | (Content::Indirect(_), Some(chunks)) => chunks,
            (Content::Indirect(_), None) => return Ok(None),
        };
        let mut packs = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            match self.place(&chunk.id, even_blocked)? {
                Place::Fresh => {}
                Place::Pack(number) => packs.push(number),
                Place::Absent => return Ok(None),
            }
        }
        self.found.used.extend(packs);
        if let Content::Direct(_) = content {
            return Ok(Some(content.clone()));
        }
        self.content(chunks.clone()).map(|(content, _)| Some(content))
    }

    /// A file's content as its entry has it; the chunks again where the entry only names pages of them.
    pub(super) fn content(
        &mut self,
        chunks: Vec<ChunkRef>,
    ) -> Result<(Content, Option<Vec<ChunkRef>>), BackupError> {
        let (content, pages) = tree::encode_content(chunks.clone(), &self.names);
        let indirect = !pages.is_empty();
        for page in pages {
            self.store(page, true)?;
        }
        Ok((content, indirect.then_some(chunks)))
    }

    pub(super) fn store(&mut self, raw: Vec<u8>, is_tree: bool) -> Result<ChunkId, BackupError> {
        let id = self.names.id(&raw);
        if self.is_new(&id)? {
            self.out.send(FreshChunk { id, raw, is_tree })?;
        }
        Ok(id)
    }

    pub(super) fn store_slice(&mut self, raw: &[u8], is_tree: bool) -> Result<ChunkId, BackupError> {
        let id = self.names.id(raw);
        if self.is_new(&id)? {
            self.out.send(FreshChunk {
                id,
                raw: raw.to_vec(),
                is_tree,
            })?;
        }
        Ok(id)
    }

    pub(super) fn is_new(&mut self, id: &ChunkId) -> Result<bool, BackupError> {
        Ok(match self.place(id, false)? {
            Place::Fresh => false,
            Place::Pack(number) => {
                self.found.used.insert(number);
                false
            }
            Place::Absent => self.fresh.insert(*id),
        })
    }

    pub(super) fn place(&self, id: &ChunkId, even_blocked: bool) -> Result<Place, BackupError> {
        if self.fresh.contains(id) {
            return Ok(Place::Fresh);
        }
        Ok(match self.tables.pack_of(id)? {
            Some(number)
                if self.packs.contains_key(&number) && (even_blocked || !self.blocked.contains(&number)) =>
            {
                Place::Pack(number)
            }
            _ => Place::Absent,
        })
    }
}

pub(super) enum Place {
    /// Sent in this run.
    Fresh,
    /// In a pack of the parent.
    Pack(u64),
    /// To be sent.
    Absent,
}
