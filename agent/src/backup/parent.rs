//! Rebuilding the cache's view of the bucket: from the parent's manifest and its index segments.

use std::collections::{HashMap, HashSet};

use repository::{
    chunk::IndexKey,
    index, manifest,
    object_list::{ObjectList, Replay},
};
use shared::{
    api::agent::{PARTS_PER_CALL, ParentSnapshot, Part, ReadsRequest, SignedRead},
    ids::SourceId,
    object::{ObjectHash, ObjectKind, ObjectRef},
};

use super::{engine::Parent, error::BackupError};
use crate::{
    cache::CacheRun,
    client::{Client, ClientError},
    fetch,
    retry::Tries,
    store::ReadError,
};

/// Objects of a snapshot: full packs of them hold 256 TiB.
const MAX_OBJECTS: usize = 16 << 20;

/// Fills an empty cache with what the parent needs. Segments that do not open are skipped: their packs are not
/// reused, and everything in them is sent again.
pub(super) async fn reload(
    client: &Client,
    source: SourceId,
    snapshot: &ParentSnapshot,
    key: &IndexKey,
    run: &CacheRun,
) -> Result<Parent, BackupError> {
    let (list, objects) = match objects(client, source, snapshot, run).await {
        Ok(read) => read,
        // A storage that cannot be asked now has its reason, and what it holds is not to be sent again for that.
        Err(Unread::Unasked(reason)) => return Err(BackupError::ParentUnreadable(reason)),
        Err(Unread::Lost(reason)) => {
            tracing::warn!(
                reason,
                "the newest snapshot's list is lost; going on by the server's"
            );
            run.clear()?;
            // Nothing of the list stays: its pages are dropped, and the next one begins afresh.
            (
                ObjectList::default(),
                objects_by_server(client, source, snapshot.seq).await?,
            )
        }
    };
    let kept: HashSet<&ObjectRef> = list.pages().collect();
    let mut needed: HashMap<ObjectHash, ObjectRef> = objects
        .iter()
        .filter(|object| !kept.contains(object))
        .map(|object| (object.hash, *object))
        .collect();
    let segments: Vec<ObjectRef> = objects
        .iter()
        .filter(|object| object.kind == ObjectKind::Index)
        .copied()
        .collect();
    let mut seen = HashSet::new();
    for batch in segments.chunks(PARTS_PER_CALL) {
        let parts = batch.iter().map(Part::whole).collect();
        let reads = client.source_reads(source, &ReadsRequest { parts }).await?;
        for segment in batch {
            let part = Part::whole(segment);
            let Some(read) = reads.iter().find(|read| read.part == part) else {
                continue;
            };
            let layouts = match read_one(client, source, segment, Some(read)).await {
                Ok(bytes) => index::open(&bytes, key).map_err(|error| error.to_string()),
                Err(Unread::Lost(reason)) => Err(reason),
                // What a storage holds that cannot be asked now is not to be sent again for that.
                Err(Unread::Unasked(reason)) => return Err(BackupError::ParentUnreadable(reason)),
            };
            let layouts = match layouts {
                Ok(layouts) => layouts,
                Err(reason) => {
                    tracing::warn!(segment = %segment.hash, reason, "an index segment does not open");
                    continue;
                }
            };
            // A segment may list packs that are no longer needed, or that a newer segment lists again.
            let useful: Vec<_> = layouts
                .into_iter()
                .filter(|layout| needed.contains_key(&layout.object.hash) && seen.insert(layout.object.hash))
                .collect();
            if !useful.is_empty() {
                needed.remove(&segment.hash);
            }
            run.add_packs(&useful, *segment)?;
        }
    }
    for hash in seen {
        needed.remove(&hash);
    }
    Ok(Parent {
        seq: snapshot.seq,
        manifest: Some(snapshot.manifest.hash),
        unlisted: needed.into_values().collect(),
        list,
    })
}

/// The parent's list and everything that it comes to. Its pages are kept where a later plan will read them.
async fn objects(
    client: &Client,
    source: SourceId,
    snapshot: &ParentSnapshot,
    run: &CacheRun,
) -> Result<(ObjectList, Vec<ObjectRef>), Unread> {
    let bytes = read_one(client, source, &snapshot.manifest, None).await?;
    let header = manifest::open_header_of_any(&bytes).map_err(lost)?;
    if header.source_id != source {
        return Err(lost("it is another source's"));
    }
    let mut replay = Replay::new(&header.list);
    for page in header.list.pages() {
        let bytes = read_one(client, source, page, None).await?;
        replay.page(&bytes).map_err(lost)?;
        run.add_list_page(&page.hash, &bytes)
            .map_err(|error| Unread::Unasked(error.to_string()))?;
    }
    let objects = replay.finish(&header.objects_root).map_err(lost)?;
    Ok((header.list, objects))
}

/// What the snapshot needs, as the server's books have it. A server that lies here gains nothing: it refuses the commit itself,
/// or it has what it could have said of its books anyway.
async fn objects_by_server(
    client: &Client,
    source: SourceId,
    seq: u64,
) -> Result<Vec<ObjectRef>, BackupError> {
    let mut objects: Vec<ObjectRef> = Vec::new();
    loop {
        let after = objects.last().map(|object| object.hash);
        let part = client.source_objects(source, seq, after).await?;
        let Some(first) = part.first() else {
            return Ok(objects);
        };
        let ascends =
            part.is_sorted_by(|a, b| a.hash < b.hash) && after.is_none_or(|after| after < first.hash);
        if !ascends || objects.len() + part.len() > MAX_OBJECTS {
            return Err(BackupError::ParentList);
        }
        objects.extend(part);
    }
}

/// Reads one of the source's own objects: the first time through `first`, if that is given, and through an address of its own each
/// further time.
async fn read_one(
    client: &Client,
    source: SourceId,
    object: &ObjectRef,
    first: Option<&SignedRead>,
) -> Result<Vec<u8>, Unread> {
    let storage = client.storage();
    let mut tries = Tries::new(storage.patience());
    let mut address = first.cloned();
    loop {
        let read = match address.take() {
            Some(read) => read,
            None => sign_one(client, source, object).await?,
        };
        let error = match fetch::whole(&storage, &read).await {
            Ok(bytes) => return Ok(bytes),
            Err(error) => error,
        };
        match tries.failed(&object.hash, &error, fetch::verdict(&error)) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(unread(&error)),
        }
    }
}

async fn sign_one(client: &Client, source: SourceId, object: &ObjectRef) -> Result<SignedRead, Unread> {
    let part = Part::whole(object);
    let request = ReadsRequest { parts: vec![part] };
    let reads = client.source_reads(source, &request).await;
    let reads = reads.map_err(|error| match error {
        // It never had a version that was confirmed.
        ClientError::Refused { status: 404, .. } => lost(error),
        error => Unread::Unasked(error.to_string()),
    })?;
    let unasked = |reason: &str| Unread::Unasked(reason.to_owned());
    let read = reads
        .into_iter()
        .next()
        .ok_or_else(|| unasked("the server gives no address for it"))?;
    if read.part == part {
        Ok(read)
    } else {
        Err(unasked("the server gives the address of another object"))
    }
}

fn unread(error: &ReadError) -> Unread {
    match error {
        ReadError::Storage {
            status: 404 | 405, ..
        }
        | ReadError::Wrong { .. } => lost(error),
        error => Unread::Unasked(error.to_string()),
    }
}

/// Why the parent's list was not read.
enum Unread {
    /// The bucket no longer has it as it was.
    Lost(String),
    /// Nobody knows: somebody did not answer, or refused.
    Unasked(String),
}

fn lost(reason: impl ToString) -> Unread {
    Unread::Lost(reason.to_string())
}
