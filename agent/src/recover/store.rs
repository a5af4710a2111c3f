//! One source's objects in the bucket. Under a key may stand what an intruder wrote later, or a delete marker: then the
//! earliest version that is what the key says counts.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Mutex, PoisonError},
};

use repository::layout;
use shared::{
    ids::SourceId,
    object::{ObjectHash, ObjectKind, ObjectRef},
    words::counted,
};

use super::bucket::{Bucket, BucketError};
use crate::store::{ObjectSource, ReadError};

/// Kinds that restores read packs by.
const LISTED: [ObjectKind; 3] = [ObjectKind::Pack, ObjectKind::TreePack, ObjectKind::Index];

/// Reads one source's objects.
pub struct SourceStore<'b> {
    bucket: &'b dyn Bucket,
    prefix: String,
    source: SourceId,
    /// Objects whose newest version is not the one to read.
    pinned: Mutex<HashMap<ObjectRef, Pinned>>,
}

/// The versions of an object, those of its size first and then the earliest first, and which one is read.
#[derive(Clone)]
struct Pinned {
    versions: Vec<String>,
    at: usize,
    /// None of them is what it should be: the first one is read for what is left of it.
    settled: bool,
}

impl<'b> SourceStore<'b> {
    /// The objects of `source` below the backup set's prefix, which is empty or ends with a slash.
    pub fn new(bucket: &'b dyn Bucket, prefix: &str, source: SourceId) -> Self {
        Self {
            bucket,
            prefix: prefix.to_owned(),
            source,
            pinned: Mutex::default(),
        }
    }

    fn key(&self, object: &ObjectRef) -> String {
        layout::object_key(&self.prefix, self.source, object.kind, &object.hash)
    }

    fn pinned(&self, object: &ObjectRef) -> Option<Pinned> {
        let pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        pinned.get(object).cloned()
    }

    /// Turns from the newest version to the first of the others, or from that to the next. Says whether there is one.
    fn turn(&self, object: &ObjectRef) -> Result<bool, ReadError> {
        let mut next = match self.pinned(object) {
            Some(pinned) => Pinned {
                at: pinned.at + 1,
                ..pinned
            },
            None => Pinned {
                versions: self.candidates(object)?,
                at: 0,
                settled: false,
            },
        };
        next.settled |= next.at >= next.versions.len();
        if next.settled {
            next.at = 0;
        }
        let more = !next.settled;
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        pinned.insert(*object, next);
        Ok(more)
    }

    fn candidates(&self, object: &ObjectRef) -> Result<Vec<String>, ReadError> {
        let key = self.key(object);
        let mut versions = self
            .bucket
            .versions(&key)
            .map_err(|error| failed(object, error))?;
        versions.retain(|version| version.key == key && !version.is_marker);
        // The sort is stable, and listings have the newest first.
        versions.reverse();
        versions.sort_by_key(|version| (version.size_bytes != object.size_bytes, version.modified));
        Ok(versions.into_iter().map(|version| version.version_id).collect())
    }

    /// Every pack and index segment of the source.
    fn listed(&self) -> Result<Vec<ObjectRef>, BucketError> {
        let mut objects = HashMap::new();
        for kind in LISTED {
            let none = ObjectHash::from_bytes([0; 32]);
            let key = layout::object_key(&self.prefix, self.source, kind, &none);
            let folder = &key[..key.len() - none.to_string().len()];
            for version in self.bucket.versions(folder)? {
                let name = version
                    .key
                    .strip_prefix(folder)
                    .and_then(|name| name.parse().ok());
                if let (Some(hash), false) = (name, version.is_marker) {
                    // Listings have the newest first: the earliest version's size stays.
                    objects.insert(
                        hash,
                        ObjectRef {
                            kind,
                            hash,
                            size_bytes: version.size_bytes,
                        },
                    );
                }
            }
        }
        Ok(objects.into_values().collect())
    }

    fn read_once(&self, object: &ObjectRef, range: Option<Range<u64>>) -> Result<Option<Vec<u8>>, ReadError> {
        let pinned = self.pinned(object);
        let version = match &pinned {
            None => None,
            Some(pinned) => match pinned.versions.get(pinned.at) {
                None => return Ok(None),
                version => version.map(String::as_str),
            },
        };
        // Listings and manifests may name any length.
        let most = layout::max_object_bytes(object.kind);
        let bytes = range
            .as_ref()
            .map_or(0, |range| range.end.saturating_sub(range.start));
        if object.size_bytes.max(bytes) > most {
            let what = format!(
                "it is said to have {} bytes, more than any of its kind",
                object.size_bytes.max(bytes)
            );
            return Err(ReadError::Wrong {
                object: object.hash,
                what,
            });
        }
        match self
            .bucket
            .get(&self.key(object), version, range, object.size_bytes)
        {
            // Longer than it should be: not the object.
            Err(BucketError::TooLong { .. }) => Ok(Some(Vec::new())),
            read => read.map_err(|error| failed(object, error)),
        }
    }
}

impl ObjectSource for SourceStore<'_> {
    fn read(&self, object: &ObjectRef, range: Option<Range<u64>>) -> Result<Vec<u8>, ReadError> {
        let mut wrong = None;
        loop {
            match self.read_once(object, range.clone())? {
                None => {}
                // A part proves itself when it is opened: `another` is asked then.
                Some(bytes) if range.is_some() => return Ok(bytes),
                Some(bytes) if repository::hash(&bytes) == object.hash => return Ok(bytes),
                Some(bytes) => {
                    let what = if bytes.len() as u64 == object.size_bytes {
                        "its hash is another".to_owned()
                    } else {
                        format!(
                            "it has {} instead of {}",
                            counted(bytes.len() as u64, "byte", "bytes"),
                            object.size_bytes
                        )
                    };
                    wrong = wrong.or(Some(what));
                }
            }
            if !self.turn(object)? {
                let object = object.hash;
                return Err(match wrong {
                    Some(what) => ReadError::Wrong { object, what },
                    None => ReadError::Storage {
                        object,
                        status: 404,
                        code: String::new(),
                    },
                });
            }
        }
    }

    fn another(&self, object: &ObjectRef) -> bool {
        self.turn(object).unwrap_or(false)
    }

    fn others(&self, _lost: &[ObjectHash], nth: u32) -> Result<Option<Vec<ObjectRef>>, ReadError> {
        // All of the bucket at once.
        if nth > 0 {
            return Ok(None);
        }
        Ok(Some(self.listed()?))
    }

    fn everything(&self) -> Vec<ObjectRef> {
        self.listed().unwrap_or_default()
    }
}

fn failed(object: &ObjectRef, error: BucketError) -> ReadError {
    match error {
        BucketError::Refused { status, code, .. } => ReadError::Storage {
            object: object.hash,
            status,
            code,
        },
        BucketError::TooLong { .. } => ReadError::Wrong {
            object: object.hash,
            what: error.to_string(),
        },
        BucketError::Malformed(what) => ReadError::Garbled {
            object: object.hash,
            what,
        },
        BucketError::Unreachable(_) => ReadError::Bucket(error),
    }
}
