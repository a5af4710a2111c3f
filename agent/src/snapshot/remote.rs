//! A restore's objects in the bucket, through addresses that the server signs.

use std::{
    collections::HashSet,
    ops::Range,
    sync::{Mutex, PoisonError},
};

use repository::{manifest::MAX_MANIFEST_BYTES, object_list::ListError};
use shared::{
    api::agent::{LaterRequest, OBJECTS_PER_CALL, Part, SignedRead},
    ids::{RestoreId, SourceId},
    object::{ObjectHash, ObjectKind, ObjectRef},
};
use tokio::runtime::Handle;

use super::{addresses::Addresses, trust::Trust};
use crate::{
    client::{Client, ClientError},
    fetch,
    retry::{Tries, Verdict},
    store::{ObjectSource, ReadError},
};

pub(crate) struct Remote {
    client: Client,
    handle: Handle,
    restore_id: RestoreId,
    source_id: SourceId,
    trust: Trust,
    addresses: Addresses,
    /// Objects that were asked for again, since what came was no use.
    again: Mutex<HashSet<ObjectHash>>,
    /// Objects of which an answer was believed in the end that speaks against them: each is asked for once a time from then on.
    doubted: Mutex<HashSet<ObjectHash>>,
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
            doubted: Mutex::default(),
            addresses: Addresses::default(),
        }
    }

    fn address(&self, part: Part) -> Result<SignedRead, ReadError> {
        let read = self.addresses.take(part, |request| {
            self.handle
                .block_on(self.client.restore_reads(self.restore_id, request))
        })?;
        read.ok_or_else(|| ReadError::Wrong {
            object: part.object,
            what: "the server gives no address for it".to_owned(),
        })
    }
}

impl ObjectSource for Remote {
    fn read(&self, object: &ObjectRef, range: Option<Range<u64>>) -> Result<Vec<u8>, ReadError> {
        let storage = self.client.storage();
        let wrong = |what: &str| ReadError::Wrong {
            object: object.hash,
            what: what.to_owned(),
        };
        let part = range
            .as_ref()
            .map_or_else(|| Part::whole(object), |range| Part::of(object.hash, range));
        if part.is_empty() {
            let nothing = range.is_some().then(Vec::new);
            return nothing.ok_or_else(|| wrong("it is said to be empty"));
        }
        let mut tries = Tries::new(storage.patience());
        loop {
            // An address of its own for each attempt: one that has run out is refused like one that is not allowed.
            let read = self.address(part)?;
            if (read.kind, read.size_bytes) != (object.kind, object.size_bytes) {
                return Err(wrong("the server gives the address of something else"));
            }
            let result = match range {
                None => self.handle.block_on(fetch::whole(&storage, &read)),
                Some(_) => self.handle.block_on(fetch::part(&storage, &read)),
            };
            let error = match result {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            let verdict = fetch::verdict(&error);
            let pause = tries.failed(&object.hash, &error, verdict);
            let doubted = || self.doubted.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(pause) = pause.filter(|_| verdict == Verdict::Away || !doubted().contains(&object.hash))
            else {
                doubted().insert(object.hash);
                return Err(error);
            };
            if let ReadError::Storage {
                status: 400 | 403, ..
            } = error
            {
                self.addresses.ran_out(&read);
            }
            self.handle.block_on(async { tokio::time::sleep(pause).await });
        }
    }

    fn expect(&self, parts: &[Part]) {
        self.addresses.expect(parts);
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
        let pages: Vec<Part> = header.list.pages().map(Part::whole).collect();
        self.expect(&pages);
        let objects = header
            .objects(|page| self.read(page, None).map_err(ListTrouble::Read))
            .map_err(|trouble| match trouble {
                ListTrouble::Read(error) => error,
                ListTrouble::List(error) => wrong(error.to_string()),
            })?;
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
