//! A restore's objects in the bucket, through addresses that the server signs.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Mutex, PoisonError},
};

use shared::{
    api::agent::{OBJECTS_PER_CALL, ReadsRequest, SignedRead},
    ids::RestoreId,
    object::{ObjectHash, ObjectRef},
};
use tokio::runtime::Handle;

use crate::{
    client::Client,
    fetch,
    store::{ObjectSource, ReadError},
};

const ATTEMPTS: u32 = 3;

pub(super) struct Remote {
    client: Client,
    handle: Handle,
    restore_id: RestoreId,
    addresses: Mutex<Addresses>,
}

#[derive(Default)]
struct Addresses {
    known: HashMap<ObjectHash, SignedRead>,
    /// What will be read, so that addresses are asked for many at a time.
    order: Vec<ObjectHash>,
    position: HashMap<ObjectHash, usize>,
}

impl Remote {
    pub(super) fn new(client: Client, handle: Handle, restore_id: RestoreId) -> Self {
        Self {
            client,
            handle,
            restore_id,
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
            let result = match range.clone() {
                None => self.handle.block_on(fetch::whole(&storage, &read)),
                Some(range) => self.handle.block_on(fetch::range(&storage, &read, range)),
            };
            match result {
                // Expired: another address.
                Err(ReadError::Storage {
                    status: 400 | 403, ..
                }) if attempt < ATTEMPTS => {
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
}
