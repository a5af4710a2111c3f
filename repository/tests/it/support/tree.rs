//! Reading a snapshot with nothing but the crate: from its objects to what stood in the file system.

use std::{collections::HashMap, fmt::Write as _};

use repository::{
    chunk::{ChunkId, ChunkKey},
    index,
    manifest::{self, ListedWarning, ManifestContent, ManifestHeader, WarningList},
    pack::{self, OpenPack, PackKey, PackLayout},
    recovery::RecoverySecret,
    tree::{self, Content, Entry, Node},
};
use shared::object::{ObjectKind, ObjectRef};

pub type Failure = Box<dyn std::error::Error>;

/// Reads one object whole.
pub type Read<'a> = &'a dyn Fn(&ObjectRef) -> Result<Vec<u8>, Failure>;

/// A line for everything that the snapshot holds, in order.
pub fn describe(
    bytes: &[u8],
    header: &ManifestHeader,
    kit: &RecoverySecret,
    read: Read<'_>,
) -> Result<String, Failure> {
    let content = manifest::open_content(bytes, kit)?;
    let mut library = Library {
        read,
        kit,
        names: content.chunk_key.clone(),
        places: HashMap::new(),
    };
    let objects = header.objects(|page| read(page))?;
    for object in objects.iter().filter(|object| object.kind == ObjectKind::Index) {
        for layout in index::open_with_kit(&read(object)?, kit)? {
            // A segment may list packs that the snapshot no longer needs.
            if objects.contains(&layout.object) {
                library.add(layout);
            }
        }
    }
    // The packs' own lists and every byte of them.
    for object in &objects {
        if matches!(object.kind, ObjectKind::Pack | ObjectKind::TreePack) {
            let bytes = read(object)?;
            let key = PackKey::open(object.kind, &bytes, kit)?;
            for (entry, raw) in pack::verify(object.kind, &bytes, &key, &library.names)? {
                let read_by_index = library.chunk(&entry.id)?;
                if read_by_index != raw {
                    return Err("the index and the pack disagree".into());
                }
            }
        }
    }
    let mut text = String::new();
    for root in &content.roots {
        let (above, _) = root.path.split_at(root.path.len() - root.entry.name.len());
        library.entry(above, &root.entry, &mut text)?;
    }
    let warnings: Vec<ListedWarning> = match &content.warnings {
        WarningList::Inline(warnings) => warnings.iter().map(ListedWarning::from).collect(),
        WarningList::Pages(pages) => {
            let mut all = Vec::new();
            for page in pages {
                all.extend(manifest::decode_warning_page(&library.chunk(page)?)?);
            }
            all
        }
    };
    for warning in warnings {
        writeln!(
            text,
            "warning {} {:?} {}",
            warning.path.escape_ascii(),
            warning.known_kind().ok_or("an unknown kind")?,
            warning.detail
        )?;
    }
    second_version(&content, &mut text)?;
    Ok(text)
}

struct Library<'a> {
    read: Read<'a>,
    kit: &'a RecoverySecret,
    names: ChunkKey,
    places: HashMap<ChunkId, (ObjectRef, u32, u64, pack::PackEntry)>,
}

/// What manifests of version 1 do not have.
fn second_version(content: &ManifestContent, text: &mut String) -> Result<(), Failure> {
    for root in &content.roots {
        if let Some(walked) = &root.walked {
            writeln!(text, "walked {}", walked.escape_ascii())?;
        }
    }
    for (what, names) in [("user", &content.owners.users), ("group", &content.owners.groups)] {
        for (id, name) in names {
            writeln!(text, "{what} {id} {}", name.escape_ascii())?;
        }
    }
    if let Some(index) = &content.name_index {
        writeln!(
            text,
            "name index of form {} in {} chunks",
            index.form,
            index.pages.len()
        )?;
    }
    if let Some(later) = content.further.as_ref().and_then(|further| further.get(4711)) {
        writeln!(text, "further 4711 {}", later.escape_ascii())?;
    }
    Ok(())
}

impl Library<'_> {
    fn add(&mut self, layout: PackLayout) {
        for (position, offset, entry) in layout.places() {
            self.places
                .insert(entry.id, (layout.object, position, offset, *entry));
        }
    }

    fn chunk(&self, id: &ChunkId) -> Result<Vec<u8>, Failure> {
        let (object, position, offset, entry) = self.places.get(id).ok_or("a chunk is in no pack")?;
        let bytes = (self.read)(object)?;
        let opened = OpenPack::new(
            object.kind,
            &bytes,
            &PackKey::open(object.kind, &bytes, self.kit)?,
        )?;
        let begin = usize::try_from(*offset)?;
        let end = begin + usize::try_from(entry.sealed_len())?;
        let mut sealed = bytes
            .get(begin..end)
            .ok_or("a chunk lies beyond its pack")?
            .to_vec();
        Ok(opened.chunk(*position, entry, &mut sealed, &self.names)?)
    }

    fn entry(&self, above: &[u8], entry: &Entry, text: &mut String) -> Result<(), Failure> {
        let path = [above, &entry.name].concat();
        let (kind, detail) = match &entry.node {
            Node::Symlink { target } => ("link", format!(" -> {}", target.escape_ascii())),
            Node::Directory { .. } => ("folder", String::new()),
            Node::File { size_bytes, content } => {
                let content = self.content(content)?;
                if content.len() as u64 != *size_bytes {
                    return Err("a file's chunks do not add up".into());
                }
                let hash = repository::hash(&content).to_string();
                ("file", format!(" {size_bytes} bytes, BLAKE3 {}", &hash[..16]))
            }
        };
        write!(
            text,
            "{kind} {} {:04o} {}:{}",
            path.escape_ascii(),
            entry.mode,
            entry.uid,
            entry.gid
        )?;
        write!(text, " {}.{:09}", entry.mtime.seconds, entry.mtime.nanoseconds)?;
        for xattr in &entry.xattrs {
            write!(
                text,
                " {}={}",
                xattr.name.escape_ascii(),
                xattr.value.escape_ascii()
            )?;
        }
        if let Some(group) = entry.hard_link {
            write!(text, " group {group:016x}")?;
        }
        if let Some(owner) = &entry.owner {
            write!(
                text,
                " owner {}:{}",
                owner.user.escape_ascii(),
                owner.group.escape_ascii()
            )?;
        }
        if let Some(holes) = &entry.holes {
            write!(text, " holes {:?}", holes.0)?;
        }
        if let Some(windows) = &entry.windows {
            write!(text, " {windows:?}")?;
        }
        if let Some(further) = &entry.further {
            write!(text, " {further:?}")?;
        }
        writeln!(text, "{detail}")?;
        if let Node::Directory { pages } = &entry.node {
            let below = [&path[..], b"/"].concat();
            for page in pages {
                for entry in tree::decode_page(&self.chunk(page)?)? {
                    self.entry(&below, &entry, text)?;
                }
            }
        }
        Ok(())
    }

    fn content(&self, content: &Content) -> Result<Vec<u8>, Failure> {
        let mut whole = Vec::new();
        let mut take = |chunks: &[repository::chunk::ChunkRef]| -> Result<(), Failure> {
            for chunk in chunks {
                let raw = self.chunk(&chunk.id)?;
                if raw.len() as u64 != u64::from(chunk.raw_len) {
                    return Err("a chunk has another length than its file says".into());
                }
                whole.extend(raw);
            }
            Ok(())
        };
        match content {
            Content::Direct(chunks) => take(chunks)?,
            Content::Indirect(pages) => {
                for page in pages {
                    take(&tree::decode_chunk_list(&self.chunk(page)?)?)?;
                }
            }
        }
        Ok(whole)
    }
}
