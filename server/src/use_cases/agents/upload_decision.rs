//! What becomes of each object that an agent asks to upload. Pure: what the ledger knows and what S3 confirmed are read before.

use std::collections::HashMap;

use jiff::Timestamp;
use shared::{object::ObjectHash, retention::ObjectState};

use crate::db::ledger::{ConfirmedLock, LedgerObject, NewObject};

/// An object that an agent asks to upload.
#[derive(Debug, Clone)]
pub(super) struct WantedObject {
    /// The object, with the retain-until date that would be signed.
    pub new: NewObject,
    /// Until when a version that the bucket holds already must be locked, to be used instead.
    pub needed_until: Timestamp,
}

/// What becomes of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum UploadDecision {
    /// The bucket holds it with a lock that suffices: nothing is sent.
    Stored {
        /// What S3 showed, to be written to the ledger; `None` where the ledger alone says so.
        confirmed: Option<ConfirmedLock>,
    },
    /// An address is signed.
    Put {
        /// Versions under its key that are locked too short or no longer confirmed: the new version supersedes them.
        superseded: Vec<ConfirmedLock>,
    },
}

/// Why a whole request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum UploadRefused {
    /// The groomer has taken it: that is irrevocable, and its key is not used until it is gone.
    #[error("{0}: an earlier copy of it is being deleted. Start another run.")]
    Deleting(ObjectHash),
    /// The ledger has another size, kind or MD5 under this hash.
    #[error("{0}: known with another content.")]
    OtherContent(ObjectHash),
}

impl UploadRefused {
    /// A stable word for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Deleting(_) => "deleting",
            Self::OtherContent(_) => "object",
        }
    }
}

/// Whether S3 has to be asked before the ledger's row counts. An object that was never committed may have gone since it was
/// confirmed, and one that counts as gone may have come back.
pub(super) fn needs_confirmation(row: &LedgerObject) -> bool {
    row.state != ObjectState::Live || row.missing
}

/// Decides on every wanted object, in the order of `wanted`. `known` are the ledger's rows; `confirmed` is what S3 showed of those
/// that [need it](needs_confirmation): what S3 did not show, or did not answer for, is not in it.
///
/// # Errors
/// The first object that refuses the request.
pub(super) fn decide(
    wanted: &[WantedObject],
    known: &HashMap<ObjectHash, LedgerObject>,
    confirmed: &HashMap<ObjectHash, ConfirmedLock>,
) -> Result<Vec<UploadDecision>, UploadRefused> {
    let decisions = wanted.iter().map(|object| {
        let hash = object.new.object.hash;
        decide_one(object, known.get(&hash), confirmed.get(&hash))
    });
    decisions.collect()
}

fn decide_one(
    wanted: &WantedObject,
    row: Option<&LedgerObject>,
    confirmed: Option<&ConfirmedLock>,
) -> Result<UploadDecision, UploadRefused> {
    let Some(row) = row else {
        return Ok(UploadDecision::Put {
            superseded: Vec::new(),
        });
    };
    let NewObject {
        object, content_md5, ..
    } = wanted.new;
    if row.state == ObjectState::Deleting {
        return Err(UploadRefused::Deleting(object.hash));
    }
    if row.object != object || row.content_md5 != content_md5 {
        return Err(UploadRefused::OtherContent(object.hash));
    }
    if row.lock.is_some() && confirmed.is_none() && !needs_confirmation(row) {
        return Ok(UploadDecision::Stored { confirmed: None });
    }
    // A live object may fall short: the commit extends its lock. One that was never committed is put again.
    let suffices =
        |lock: &&ConfirmedLock| row.state == ObjectState::Live || lock.locked_until >= wanted.needed_until;
    Ok(match confirmed.filter(suffices) {
        Some(lock) => UploadDecision::Stored {
            confirmed: Some(lock.clone()),
        },
        None => UploadDecision::Put {
            superseded: confirmed.into_iter().chain(&row.lock).cloned().collect(),
        },
    })
}

#[cfg(test)]
mod tests {
    use std::slice;

    use shared::object::{ObjectKind, ObjectRef};

    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + day * 86_400).unwrap()
    }

    fn lock(version: &str, day: i64) -> ConfirmedLock {
        ConfirmedLock {
            version_id: version.to_owned(),
            mode: shared::retention::LockMode::Compliance,
            locked_until: at(day),
        }
    }

    /// Needed until day 90.
    fn wanted(byte: u8) -> WantedObject {
        WantedObject {
            new: NewObject {
                object: ObjectRef {
                    kind: ObjectKind::Pack,
                    hash: ObjectHash::from_bytes([byte; 32]),
                    size_bytes: 1_000,
                },
                content_md5: [byte; 16],
                signed_until: at(100),
            },
            needed_until: at(90),
        }
    }

    fn row(byte: u8, state: ObjectState, lock: Option<ConfirmedLock>, missing: bool) -> LedgerObject {
        let NewObject {
            object,
            content_md5,
            signed_until,
        } = wanted(byte).new;
        LedgerObject {
            object,
            content_md5,
            state,
            signed_until,
            signed_at: None,
            lock,
            confirmed_at: None,
            missing,
            missing_since: None,
            in_doubt: missing,
            born: None,
            dropped: None,
            live_bytes: None,
        }
    }

    #[test]
    fn what_the_ledger_has_and_what_s3_shows_decide() {
        use ObjectState::{Live, Pending, Unknown};
        let stored = |confirmed| UploadDecision::Stored { confirmed };
        let put = |superseded: &[ConfirmedLock]| UploadDecision::Put {
            superseded: superseded.to_vec(),
        };
        let (old, short, long) = (lock("old", 10), lock("new", 89), lock("new", 90));
        let cases = [
            (
                "live and confirmed once",
                Live,
                Some(&old),
                false,
                None,
                stored(None),
            ),
            ("live without a version", Live, None, false, None, put(&[])),
            (
                "live, counts as gone, not shown",
                Live,
                Some(&old),
                true,
                None,
                put(slice::from_ref(&old)),
            ),
            (
                "live, counts as gone, shown: the commit extends it",
                Live,
                Some(&old),
                true,
                Some(&short),
                stored(Some(short.clone())),
            ),
            ("pending, never shown", Pending, None, false, None, put(&[])),
            (
                "pending, shown as needed",
                Pending,
                None,
                false,
                Some(&long),
                stored(Some(long.clone())),
            ),
            (
                "pending, shown locked too short",
                Pending,
                None,
                false,
                Some(&short),
                put(slice::from_ref(&short)),
            ),
            (
                "pending, confirmed before, no longer shown",
                Pending,
                Some(&long),
                false,
                None,
                put(slice::from_ref(&long)),
            ),
            (
                "pending, confirmed before, another version shown locked too short",
                Pending,
                Some(&old),
                false,
                Some(&short),
                put(&[short.clone(), old.clone()]),
            ),
            (
                "unknown is asked for like pending",
                Unknown,
                Some(&old),
                false,
                Some(&long),
                stored(Some(long.clone())),
            ),
        ];
        for (case, state, known, missing, shown, expected) in cases {
            let row = row(1, state, known.cloned(), missing);
            let decided = decide_one(&wanted(1), Some(&row), shown);
            assert_eq!(decided, Ok(expected), "{case}");
        }
    }

    #[test]
    fn decisions_come_in_the_order_asked() {
        let known = row(2, ObjectState::Live, Some(lock("v", 10)), false);
        let known = HashMap::from([(known.object.hash, known)]);
        let decided = decide(&[wanted(1), wanted(2), wanted(3)], &known, &HashMap::new()).unwrap();
        let is_put: Vec<bool> = decided
            .iter()
            .map(|decision| matches!(decision, UploadDecision::Put { .. }))
            .collect();
        assert_eq!(is_put, [true, false, true]);
    }

    #[test]
    fn what_is_being_deleted_and_what_has_another_content_refuse_the_request() {
        let object = wanted(1);
        let hash = object.new.object.hash;
        let long = lock("v", 200);
        let sound = row(1, ObjectState::Pending, None, false);
        let deleting = row(1, ObjectState::Deleting, Some(long.clone()), false);
        let mut other_size = sound.clone();
        other_size.object.size_bytes += 1;
        let mut other_md5 = sound.clone();
        other_md5.content_md5 = [9; 16];
        for (row, refused) in [
            (deleting, UploadRefused::Deleting(hash)),
            (other_size, UploadRefused::OtherContent(hash)),
            (other_md5, UploadRefused::OtherContent(hash)),
        ] {
            assert_eq!(decide_one(&object, Some(&row), Some(&long)), Err(refused));
        }
    }

    #[test]
    fn the_ledger_alone_speaks_for_live_objects_that_do_not_count_as_gone() {
        let needs = |state, missing| needs_confirmation(&row(1, state, None, missing));
        assert!(!needs(ObjectState::Live, false));
        assert!(needs(ObjectState::Live, true));
        assert!(needs(ObjectState::Pending, false));
        assert!(needs(ObjectState::Unknown, false));
    }
}
