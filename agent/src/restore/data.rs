//! Putting files back: pack by pack, each read once, several at a time, whatever files its chunks belong to.

use std::{
    collections::{BTreeMap, HashMap},
    os::fd::OwnedFd,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{AcqRel, Relaxed},
        },
    },
};

use super::{
    RestoreError,
    library::Library,
    plan::{Plan, What},
    target::Target,
};
use crate::{progress::RestoreCounters, random};

/// Packs read at the same time.
const WORKERS: usize = 4;
/// A chunk of at least this many zeros becomes a hole.
const HOLE_BYTES: usize = 64 * 1024;
/// More notes than this are counted only.
const LISTED_NOTES: usize = 1000;

/// One chunk's place in one file.
struct Piece {
    position: u32,
    item: usize,
    offset: u64,
    raw_len: u32,
}

/// Writes everything that the plan names below `target`. Nothing that exists is overwritten.
///
/// # Errors
/// See [`RestoreError`]. Files that were not finished are removed.
pub fn put_back(
    library: &Library<'_>,
    plan: &Plan,
    target: &Path,
    counters: &RestoreCounters,
    notes: &mut Vec<String>,
) -> Result<(), RestoreError> {
    let target = Target::open(target, plan, random::bytes()?)?;
    let existed = target.check()?;
    for (index, item) in plan.items.iter().enumerate() {
        if matches!(item.what, What::Folder) && !existed[index] {
            target.make_folder(index)?;
        }
    }
    let links = second_names(plan);
    let mut work = Work {
        library,
        target: &target,
        counters,
        packs: BTreeMap::new(),
        open: HashMap::new(),
        failed: AtomicBool::new(false),
        notes: Mutex::default(),
    };
    work.files(plan, &links)?;
    let done = work.run();
    let mut found = work.notes.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = done {
        for (item, left) in &work.open {
            if left.load(Relaxed) > 0 {
                target.discard(*item);
            }
        }
        return Err(error);
    }
    for (item, first) in &links {
        target.link(*first, *item)?;
        counters.files_done.fetch_add(1, Relaxed);
        if let What::File { size_bytes, .. } = &plan.items[*item].what {
            counters.bytes_done.fetch_add(*size_bytes, Relaxed);
        }
    }
    // Only now do links exist that could lead anywhere; nothing is written through names after this.
    for (index, item) in plan.items.iter().enumerate() {
        if let What::Symlink { target: to } = &item.what {
            target.make_symlink(index, to, &mut found)?;
            counters.files_done.fetch_add(1, Relaxed);
        }
    }
    // From the deepest up: what is made in a folder changes its times.
    for (index, item) in plan.items.iter().enumerate().rev() {
        if let (What::Folder, Some(looks), false) = (&item.what, &item.looks, existed[index]) {
            target.finish_folder(index, looks, &mut found)?;
        }
        if matches!(item.what, What::Folder) {
            counters.files_done.fetch_add(1, Relaxed);
        }
    }
    target.sync()?;
    if !target.as_root() {
        notes.push("not run as root: files belong to you, not to their former owners".to_owned());
    }
    let kept = existed.iter().filter(|existed| **existed).count();
    if kept > 0 {
        notes.push(format!(
            "{kept} folders existed already and kept their permissions and times"
        ));
    }
    let more = found.len().saturating_sub(LISTED_NOTES);
    notes.extend(found.into_iter().take(LISTED_NOTES));
    if more > 0 {
        notes.push(format!("and {more} more"));
    }
    Ok(())
}

/// Files that are further names of one that is put back: (this one, the first one). Two entries of a group whose
/// contents differ changed between their reading: they are put back as two files.
fn second_names(plan: &Plan) -> HashMap<usize, usize> {
    let mut first: HashMap<u64, usize> = HashMap::new();
    let mut links = HashMap::new();
    for (index, item) in plan.items.iter().enumerate() {
        let What::File {
            chunks,
            hard_link: Some(group),
            ..
        } = &item.what
        else {
            continue;
        };
        match first.get(group) {
            None => {
                first.insert(*group, index);
            }
            Some(other) => {
                if matches!(&plan.items[*other].what, What::File { chunks: same, .. } if same == chunks) {
                    links.insert(index, *other);
                }
            }
        }
    }
    links
}

struct Work<'a> {
    library: &'a Library<'a>,
    target: &'a Target<'a>,
    counters: &'a RestoreCounters,
    /// What is needed of each pack.
    packs: BTreeMap<usize, Vec<Piece>>,
    /// Chunks that each file still waits for.
    open: HashMap<usize, AtomicUsize>,
    failed: AtomicBool,
    notes: Mutex<Vec<String>>,
}

impl Work<'_> {
    fn files(&mut self, plan: &Plan, links: &HashMap<usize, usize>) -> Result<(), RestoreError> {
        for (index, item) in plan.items.iter().enumerate() {
            let What::File { chunks, .. } = &item.what else {
                continue;
            };
            if links.contains_key(&index) {
                continue;
            }
            if chunks.is_empty() {
                let folder = self.target.parent(index)?;
                let file = self.target.open_file(&folder, index)?;
                let mut notes = Vec::new();
                if let Err(error) = self.target.finish_file(&folder, &file, index, &mut notes) {
                    self.target.discard(index);
                    return Err(error.into());
                }
                self.note(notes);
                self.counters.files_done.fetch_add(1, Relaxed);
                continue;
            }
            let mut offset = 0;
            for chunk in chunks {
                let place = self.library.place(&chunk.id)?;
                self.packs.entry(place.pack).or_default().push(Piece {
                    position: place.position,
                    item: index,
                    offset,
                    raw_len: chunk.raw_len,
                });
                offset += u64::from(chunk.raw_len);
            }
            self.open.insert(index, AtomicUsize::new(chunks.len()));
        }
        for pieces in self.packs.values_mut() {
            // One chunk after the other; within a chunk, one file after the other.
            pieces.sort_unstable_by_key(|piece| (piece.position, piece.item, piece.offset));
        }
        Ok(())
    }

    fn run(&self) -> Result<(), RestoreError> {
        let packs: Vec<(&usize, &Vec<Piece>)> = self.packs.iter().collect();
        let next = AtomicUsize::new(0);
        let worker = || -> Result<(), RestoreError> {
            while let Some((pack, pieces)) = packs.get(next.fetch_add(1, Relaxed)) {
                if self.failed.load(Relaxed) {
                    return Ok(());
                }
                if let Err(error) = self.pack(**pack, pieces) {
                    self.failed.store(true, Relaxed);
                    return Err(error);
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS.min(packs.len()))
                .map(|_| scope.spawn(worker))
                .collect();
            let mut result = Ok(());
            for worker in workers {
                let done = worker.join().unwrap_or(Err(RestoreError::Thread));
                result = result.and(done);
            }
            result
        })
    }

    fn pack(&self, pack: usize, pieces: &[Piece]) -> Result<(), RestoreError> {
        let mut positions: Vec<u32> = pieces.iter().map(|piece| piece.position).collect();
        positions.dedup();
        let reader = self.library.read_pack(pack, Some(&positions))?;
        let mut folder: Option<(usize, OwnedFd)> = None;
        for same in pieces.chunk_by(|a, b| a.position == b.position) {
            let Some(first) = same.first() else { continue };
            let raw = self.library.chunk(pack, &reader, first.position)?;
            for piece in same {
                self.piece(piece, &raw, &mut folder)?;
            }
        }
        Ok(())
    }

    fn piece(
        &self,
        piece: &Piece,
        raw: &[u8],
        kept: &mut Option<(usize, OwnedFd)>,
    ) -> Result<(), RestoreError> {
        // The listing was believed when the pieces were laid out: a wrong length would make a wrong file.
        if raw.len() as u64 != u64::from(piece.raw_len) {
            return Err(RestoreError::WrongSize);
        }
        // The folder of the last piece is mostly this one's as well.
        let same_folder = kept
            .as_ref()
            .is_some_and(|(item, _)| self.target.same_folder(*item, piece.item));
        if !same_folder {
            *kept = Some((piece.item, self.target.parent(piece.item)?));
        }
        let Some((_, folder)) = kept else { return Ok(()) };
        let file = self.target.open_file(folder, piece.item)?;
        let is_hole = raw.len() >= HOLE_BYTES && raw.iter().all(|byte| *byte == 0);
        if !is_hole {
            self.target.write(&file, piece.item, piece.offset, raw)?;
        }
        self.counters.bytes_done.fetch_add(raw.len() as u64, Relaxed);
        let left = &self.open[&piece.item];
        // Whoever writes the last piece finishes the file, after all others have written theirs.
        if left.fetch_sub(1, AcqRel) == 1 {
            let mut notes = Vec::new();
            self.target.finish_file(folder, &file, piece.item, &mut notes)?;
            self.note(notes);
            self.counters.files_done.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    fn note(&self, notes: Vec<String>) {
        if !notes.is_empty() {
            self.notes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(notes);
        }
    }
}
