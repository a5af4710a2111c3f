//! A restore's objects in the bucket, through addresses that the server signs.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    ops::Range,
    sync::{Mutex, PoisonError},
};

use repository::{manifest::MAX_MANIFEST_BYTES, object_list::ListError};
use shared::{
    api::agent::{LaterRequest, OBJECTS_PER_CALL, ReadsRequest, SignedRead},
    ids::{RestoreId, SourceId},
    object::{ObjectHash, ObjectKind, ObjectRef},
};
use tokio::runtime::Handle;

use super::trust::Trust;
use crate::{
    client::{Client, ClientError},
    fetch, refusal,
    store::{ObjectSource, ReadError},
};

const ATTEMPTS: u32 = 3;

pub(super) struct Remote {
    client: Client,
    handle: Handle,
    restore_id: RestoreId,
    source_id: SourceId,
    trust: Trust,
    addresses: Mutex<Addresses>,
    /// Objects that were asked for again, since what came was no use.
    again: Mutex<HashSet<ObjectHash>>,
}

#[derive(Default)]
struct Addresses {
    known: HashMap<ObjectHash, SignedRead>,
    /// What will be read, so that addresses are asked for many at a time.
    order: Vec<ObjectHash>,
    position: HashMap<ObjectHash, usize>,
}

impl Remote {
    pub(super) fn new(
        client: Client,
        handle: Handle,
        restore_id: RestoreId,
        source_id: SourceId,
        trust: Trust,
    ) -> Self {
        Self {
            client,
            handle,
            restore_id,
            source_id,
            trust,
            again: Mutex::default(),
            addresses: Mutex::default(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Addresses> {
        // The map is whole after every statement that changes it.
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn address(&self, object: &ObjectHash) -> Result<SignedRead, ReadError> {
        let wanted: Vec<ObjectHash> = {
            let addresses = self.lock();
            if let Some(read) = addresses.known.get(object) {
                return Ok(read.clone());
            }
            let begin = addresses.position.get(object).copied();
            let following = begin.map_or(&[][..], |at| &addresses.order[at + 1..]);
            std::iter::once(object)
                .chain(
                    following
                        .iter()
                        .filter(|hash| !addresses.known.contains_key(hash)),
                )
                .take(OBJECTS_PER_CALL)
                .copied()
                .collect()
        };
        let request = ReadsRequest { objects: wanted };
        let reads = self
            .handle
            .block_on(self.client.restore_reads(self.restore_id, &request))?;
        let mut addresses = self.lock();
        addresses
            .known
            .extend(reads.into_iter().map(|read| (read.hash, read)));
        addresses
            .known
            .get(object)
            .cloned()
            .ok_or_else(|| ReadError::Wrong {
                object: *object,
                what: "the server gives no address for it".to_owned(),
            })
    }
}

impl ObjectSource for Remote {
    fn read(&self, object: &ObjectRef, range: Option<Range<u64>>) -> Result<Vec<u8>, ReadError> {
        let storage = self.client.storage();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let read = self.address(&object.hash)?;
            if (read.kind, read.size_bytes) != (object.kind, object.size_bytes) {
                return Err(ReadError::Wrong {
                    object: object.hash,
                    what: "the server gives the address of something else".to_owned(),
                });
            }
            let result = match range.clone() {
                None => self.handle.block_on(fetch::whole(&storage, &read)),
                Some(range) => self.handle.block_on(fetch::range(&storage, &read, range)),
            };
            match result {
                // Expired: another address.
                Err(ReadError::Storage {
                    status: status @ (400 | 403),
                    code,
                    ..
                }) if attempt < ATTEMPTS && refusal::may_pass(status, &code) => {
                    self.lock().known.remove(&object.hash);
                }
                other => return other,
            }
        }
    }

    fn expect(&self, objects: &[ObjectRef]) {
        let mut addresses = self.lock();
        addresses.order = objects.iter().map(|object| object.hash).collect();
        addresses.position = addresses.order.iter().copied().zip(0..).collect();
    }

    /// There is one version that the server signs for. It is asked for twice before it is held to be damaged.
    fn another(&self, object: &ObjectRef) -> bool {
        let mut again = self.again.lock().unwrap_or_else(PoisonError::into_inner);
        again.insert(object.hash)
    }

    fn others(&self, lost: &[ObjectHash], nth: u32) -> Result<Option<Vec<ObjectRef>>, ReadError> {
        let request = LaterRequest {
            lost: lost.iter().take(OBJECTS_PER_CALL).copied().collect(),
            nth,
        };
        let asked = self.client.restore_later(self.restore_id, &request);
        let later = match self.handle.block_on(asked) {
            Ok(later) => later,
            // There is no later one, or the server knows no such thing.
            Err(ClientError::Refused { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let manifest = later.manifest;
        let wrong = |what: String| ReadError::Wrong {
            object: manifest.hash,
            what,
        };
        if manifest.kind != ObjectKind::Manifest || manifest.size_bytes > MAX_MANIFEST_BYTES as u64 {
            return Err(wrong("the server says that it is no manifest".to_owned()));
        }
        let bytes = self.read(&manifest, None)?;
        let header = self
            .trust
            .header(&bytes)
            .map_err(|error| wrong(error.to_string()))?;
        if header.source_id != self.source_id {
            return Err(wrong("it is another source's".to_owned()));
        }
        let objects = header
            .objects(|page| self.read(page, None).map_err(ListTrouble::Read))
            .map_err(|trouble| match trouble {
                ListTrouble::Read(error) => error,
                ListTrouble::List(error) => wrong(error.to_string()),
            })?;
        let mut addresses = self.lock();
        let addresses = &mut *addresses;
        for object in &objects {
            let next = addresses.order.len();
            if let Entry::Vacant(entry) = addresses.position.entry(object.hash) {
                entry.insert(next);
                addresses.order.push(object.hash);
            }
        }
        Ok(Some(objects))
    }
}

/// Why another snapshot's list does not read.
enum ListTrouble {
    Read(ReadError),
    List(ListError),
}

impl From<ListError> for ListTrouble {
    fn from(error: ListError) -> Self {
        Self::List(error)
    }
}
