//! A bucket in memory.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Mutex, atomic::AtomicUsize, atomic::Ordering::Relaxed},
};

use agent::store::{ObjectSink, ObjectSource, ReadError, Stopped};
use bytes::Bytes;
use shared::object::{ObjectHash, ObjectKind, ObjectRef};

/// A bucket in memory that counts.
#[derive(Default)]
pub struct Bucket {
    pub objects: Mutex<HashMap<ObjectHash, (ObjectRef, Vec<u8>)>>,
    pub order: Mutex<Vec<ObjectKind>>,
    pub reads: AtomicUsize,
    pub bytes_read: AtomicUsize,
}

impl ObjectSink for Bucket {
    fn put(&self, object: ObjectRef, bytes: Bytes) -> Result<(), Stopped> {
        assert_eq!(repository::hash(&bytes), object.hash);
        assert_eq!(bytes.len() as u64, object.size_bytes);
        self.order.lock().unwrap().push(object.kind);
        self.objects
            .lock()
            .unwrap()
            .insert(object.hash, (object, bytes.to_vec()));
        Ok(())
    }

    fn flush(&self) -> Result<(), Stopped> {
        Ok(())
    }
}

impl ObjectSource for Bucket {
    fn read(&self, object: &ObjectRef, range: Option<Range<u64>>) -> Result<Vec<u8>, ReadError> {
        let objects = self.objects.lock().unwrap();
        let missing = ReadError::Storage {
            object: object.hash,
            status: 404,
            code: String::new(),
        };
        let (_, bytes) = objects.get(&object.hash).ok_or(missing)?;
        let bytes = match range {
            None if repository::hash(bytes) != object.hash => {
                return Err(ReadError::Wrong {
                    object: object.hash,
                    what: "its hash is another".into(),
                });
            }
            None => bytes.clone(),
            Some(range) => {
                let end = bytes.len().min(usize::try_from(range.end).unwrap());
                bytes[end.min(usize::try_from(range.start).unwrap())..end].to_vec()
            }
        };
        self.reads.fetch_add(1, Relaxed);
        self.bytes_read.fetch_add(bytes.len(), Relaxed);
        Ok(bytes)
    }
}
