//! What is to be put back: the listings of the wanted part of a snapshot, flattened.

use std::collections::HashMap;

use repository::{
    chunk::{ChunkId, ChunkRef},
    manifest::Root,
    tree::{self, Content, Entry, Node, UnixTime, Xattr},
};

use super::{RestoreError, library::Library};

/// Everything to put back. Folders come before what is in them.
#[derive(Debug, Default)]
pub struct Plan {
    /// The items.
    pub items: Vec<Item>,
    /// Bytes of file contents.
    pub bytes: u64,
}

/// One name to put back.
#[derive(Debug)]
pub struct Item {
    /// The folder that it is in; `None` for the target itself.
    pub parent: Option<usize>,
    /// Its name: checked to be a plain one.
    pub name: Vec<u8>,
    /// What it is.
    pub what: What,
    /// How it looked; `None` for a folder that only leads to a path of the source.
    pub looks: Option<Looks>,
}

/// What an item is.
#[derive(Debug)]
pub enum What {
    /// A folder.
    Folder,
    /// A regular file.
    File {
        /// Its length.
        size_bytes: u64,
        /// Its chunks.
        chunks: Vec<ChunkRef>,
        /// Its group of hard links.
        hard_link: Option<u64>,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points.
        target: Vec<u8>,
    },
}

/// Metadata to put back.
#[derive(Debug)]
pub struct Looks {
    /// 12 permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time.
    pub mtime: UnixTime,
    /// Extended attributes.
    pub xattrs: Vec<Xattr>,
}

/// Paths that are still to be met on the way down; `None` when everything below is wanted.
type Wanted<'p> = Option<Vec<(usize, &'p [Vec<u8>])>>;

impl Plan {
    /// Reads the listings. `paths` are absolute paths as they were on the endpoint; none means everything.
    ///
    /// # Errors
    /// When a listing cannot be read, or a path is not in the snapshot.
    pub fn read(library: &Library<'_>, roots: &[Root], paths: &[String]) -> Result<Self, RestoreError> {
        let selections: Vec<Vec<Vec<u8>>> = paths.iter().map(|path| parts(path.as_bytes())).collect();
        let mut reader = Reader {
            library,
            plan: Self::default(),
            met: vec![false; paths.len()],
            leading: HashMap::new(),
        };
        for root in roots {
            reader.root(root, &selections)?;
        }
        if let Some(missed) = reader.met.iter().position(|met| !met) {
            return Err(RestoreError::NotInSnapshot(paths[missed].clone()));
        }
        Ok(reader.plan)
    }

    /// An item's path below the target, for messages.
    #[must_use]
    pub fn path(&self, item: usize) -> String {
        let mut names = Vec::new();
        let mut at = Some(item);
        while let Some(index) = at {
            names.push(String::from_utf8_lossy(&self.items[index].name));
            at = self.items[index].parent;
        }
        names.reverse();
        names.join("/")
    }
}

struct Reader<'l> {
    library: &'l Library<'l>,
    plan: Plan,
    met: Vec<bool>,
    /// Folders that lead to a path of the source.
    leading: HashMap<Vec<Vec<u8>>, usize>,
}

impl Reader<'_> {
    fn root(&mut self, root: &Root, selections: &[Vec<Vec<u8>>]) -> Result<(), RestoreError> {
        let path = parts(&root.path);
        if !path.iter().all(|part| tree::is_plain_name(part)) {
            return Err(tree::TreeError::BadName.into());
        }
        let mut wanted: Wanted<'_> = if selections.is_empty() {
            None
        } else {
            Some(
                selections
                    .iter()
                    .enumerate()
                    .map(|(at, parts)| (at, parts.as_slice()))
                    .collect(),
            )
        };
        for part in &path {
            wanted = self.descend(wanted, part);
        }
        let wanted = self.settle(wanted);
        if wanted.as_ref().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        match path.split_last() {
            // The root folder: what is in it goes right below the target.
            None => match &root.entry.node {
                Node::Directory { pages } => self.listing(pages.clone(), None, wanted),
                _ => Err(tree::TreeError::BadName.into()),
            },
            Some((name, leading)) => {
                let parent = self.lead_to(leading);
                let mut entry = root.entry.clone();
                entry.name.clone_from(name);
                self.entries(vec![(entry, parent, wanted)])
            }
        }
    }

    fn lead_to(&mut self, path: &[Vec<u8>]) -> Option<usize> {
        let mut parent = None;
        for depth in 1..=path.len() {
            let here = &path[..depth];
            parent = Some(match self.leading.get(here) {
                Some(found) => *found,
                None => {
                    self.plan.items.push(Item {
                        parent,
                        name: here[depth - 1].clone(),
                        what: What::Folder,
                        looks: None,
                    });
                    let made = self.plan.items.len() - 1;
                    self.leading.insert(here.to_vec(), made);
                    made
                }
            });
        }
        parent
    }

    fn listing<'p>(
        &mut self,
        pages: Vec<ChunkId>,
        parent: Option<usize>,
        wanted: Wanted<'p>,
    ) -> Result<(), RestoreError> {
        let work = self.children(&pages, parent, &wanted)?;
        self.entries(work)
    }

    /// Takes entries and everything below them, without recursion: a hostile tree may be deep.
    fn entries<'p>(&mut self, mut work: Vec<(Entry, Option<usize>, Wanted<'p>)>) -> Result<(), RestoreError> {
        work.reverse();
        while let Some((entry, parent, wanted)) = work.pop() {
            if wanted.is_some() && !matches!(entry.node, Node::Directory { .. }) {
                // Something is wanted below it, but it has no below.
                continue;
            }
            let looks = Looks {
                mode: entry.mode,
                uid: entry.uid,
                gid: entry.gid,
                mtime: entry.mtime,
                xattrs: entry.xattrs,
            };
            let (what, pages) = match entry.node {
                Node::Directory { pages } => (What::Folder, Some(pages)),
                Node::Symlink { target } => (What::Symlink { target }, None),
                Node::File { size_bytes, content } => {
                    let chunks = self.chunks(content, size_bytes)?;
                    self.plan.bytes += size_bytes;
                    let hard_link = entry.hard_link;
                    (
                        What::File {
                            size_bytes,
                            chunks,
                            hard_link,
                        },
                        None,
                    )
                }
            };
            self.plan.items.push(Item {
                parent,
                name: entry.name,
                what,
                looks: Some(looks),
            });
            if let Some(pages) = pages {
                let here = Some(self.plan.items.len() - 1);
                let mut below = self.children(&pages, here, &wanted)?;
                below.reverse();
                work.append(&mut below);
            }
        }
        Ok(())
    }

    fn children<'p>(
        &mut self,
        pages: &[ChunkId],
        parent: Option<usize>,
        wanted: &Wanted<'p>,
    ) -> Result<Vec<(Entry, Option<usize>, Wanted<'p>)>, RestoreError> {
        let mut children: Vec<(Entry, Option<usize>, Wanted<'p>)> = Vec::new();
        let mut last: Option<Vec<u8>> = None;
        for page in pages {
            for entry in tree::decode_page(&self.library.tree_chunk(page)?)? {
                if last.as_ref().is_some_and(|last| *last >= entry.name) {
                    return Err(tree::TreeError::Order.into());
                }
                last = Some(entry.name.clone());
                let below = self.descend(wanted.clone(), &entry.name);
                let below = self.settle(below);
                if below.as_ref().is_none_or(|rest| !rest.is_empty()) {
                    children.push((entry, parent, below));
                }
            }
        }
        Ok(children)
    }

    fn chunks(&self, content: Content, size_bytes: u64) -> Result<Vec<ChunkRef>, RestoreError> {
        let chunks = match content {
            Content::Direct(chunks) => chunks,
            Content::Indirect(pages) => {
                let mut chunks = Vec::new();
                for page in pages {
                    chunks.extend(tree::decode_chunk_list(&self.library.tree_chunk(&page)?)?);
                }
                chunks
            }
        };
        let total: u64 = chunks.iter().map(|chunk| u64::from(chunk.raw_len)).sum();
        if total == size_bytes {
            Ok(chunks)
        } else {
            Err(RestoreError::WrongSize)
        }
    }

    /// The selections that go on below `name`.
    fn descend<'p>(&self, wanted: Wanted<'p>, name: &[u8]) -> Wanted<'p> {
        let wanted = wanted?;
        // One that is met already wants everything below.
        if wanted.iter().any(|(_, rest)| rest.is_empty()) {
            return Some(wanted.into_iter().filter(|(_, rest)| rest.is_empty()).collect());
        }
        Some(
            wanted
                .into_iter()
                .filter_map(|(at, rest)| {
                    let (first, rest) = rest.split_first()?;
                    (first == name).then_some((at, rest))
                })
                .collect(),
        )
    }

    /// Notes the selections that are met; then everything below is wanted.
    fn settle<'p>(&mut self, wanted: Wanted<'p>) -> Wanted<'p> {
        let rest = wanted?;
        let mut met_here = false;
        for (at, rest) in &rest {
            if rest.is_empty() {
                self.met[*at] = true;
                met_here = true;
            }
        }
        // Other selections below this one are met by it as well, if they exist: they are not checked further.
        if met_here {
            for (at, _) in &rest {
                self.met[*at] = true;
            }
            return None;
        }
        Some(rest)
    }
}

fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
        .map(<[u8]>::to_vec)
        .collect()
}
