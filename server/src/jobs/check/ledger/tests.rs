//! Cases of a listing beside the ledger, and of locks that S3 shows.

use shared::object::ObjectRef;

use super::*;
use crate::{s3::Lock, source_listing::Version};

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + day * 86_400).unwrap()
}

/// An object of 10 bytes, confirmed until day 30. Its hash begins with `byte`, twice.
fn row(byte: u8, state: ObjectState) -> LedgerObject {
    LedgerObject {
        object: ObjectRef {
            kind: ObjectKind::Pack,
            hash: ObjectHash::from_bytes([byte; 32]),
            size_bytes: 10,
        },
        content_md5: [byte; 16],
        state,
        signed_until: at(30),
        signed_at: None,
        lock: Some(ConfirmedLock {
            version_id: "v".to_owned(),
            mode: LockMode::Compliance,
            locked_until: at(30),
        }),
        confirmed_at: None,
        missing: false,
        missing_since: None,
        in_doubt: false,
        born: Some(1),
        dropped: None,
        live_bytes: None,
    }
}

fn ledger(rows: Vec<LedgerObject>) -> Ledger {
    Ledger {
        id: SourceId::from_uuid(uuid::Uuid::from_u128(1)),
        rows: rows.into_iter().map(|row| (row.object.hash, row)).collect(),
        kept: vec![1],
        known: HashSet::new(),
        open_keys: HashSet::new(),
    }
}

fn listing(ledger: &Ledger, versions: &[(&LedgerObject, &str, u64)]) -> SourceListing {
    let mut listing = SourceListing::default();
    for (row, id, size_bytes) in versions {
        let version = Version {
            id: (*id).to_owned(),
            size_bytes: *size_bytes,
        };
        let key = row.key("", ledger.id);
        listing.keys.entry(key).or_default().push(version);
    }
    listing
}

fn head(lock: Option<Lock>) -> VersionHead {
    VersionHead {
        version_id: "v".to_owned(),
        size_bytes: 10,
        etag: String::new(),
        kms: false,
        lock,
    }
}

#[test]
fn a_listing_decides_what_is_asked_for_by_name() {
    let doubtful = LedgerObject {
        in_doubt: true,
        ..row(1, ObjectState::Live)
    };
    let unlocked = LedgerObject {
        lock: None,
        ..row(1, ObjectState::Live)
    };
    // The row, what is listed of it, the slice that is asked for, and: suspects, sample, findings.
    let cases = [
        (
            "listed, another slice",
            row(1, ObjectState::Live),
            Some(("v", 10)),
            0,
            (0, 0, 0),
        ),
        (
            "listed, its slice",
            row(1, ObjectState::Live),
            Some(("v", 10)),
            1,
            (0, 1, 0),
        ),
        ("listed, in doubt", doubtful, Some(("v", 10)), 0, (0, 1, 0)),
        ("not listed", row(1, ObjectState::Live), None, 0, (1, 0, 0)),
        (
            "another version",
            row(1, ObjectState::Live),
            Some(("w", 10)),
            0,
            (1, 0, 0),
        ),
        (
            "another size",
            row(1, ObjectState::Live),
            Some(("v", 11)),
            0,
            (0, 0, 1),
        ),
        ("without a version", unlocked, Some(("v", 10)), 0, (1, 0, 0)),
        ("pending", row(1, ObjectState::Pending), None, 0, (0, 0, 0)),
        ("being deleted", row(1, ObjectState::Deleting), None, 0, (0, 0, 0)),
    ];
    for (case, row, listed, slice, expected) in cases {
        let versions: Vec<_> = listed.iter().map(|(id, size)| (&row, *id, *size)).collect();
        let ledger = ledger(vec![row.clone()]);
        let listing = listing(&ledger, &versions);
        let mut out = Compared::default();
        // 0x0101 is 1 modulo 4.
        let asked = ledger.beside(&listing, "", (slice, 4), &HashSet::new(), &mut out);
        let found = (asked.suspects.len(), asked.sample.len(), out.findings.len());
        assert_eq!(found, expected, "{case}");
    }
}

#[test]
fn what_s3_shows_decides_what_is_told_and_what_a_sweep_extends() {
    let shown = |mode, day| {
        Some(head(Some(Lock {
            mode,
            retain_until: at(day),
        })))
    };
    // What S3 shows, and: findings, gone, locks that end sooner.
    let cases = [
        ("as confirmed", shown(LockMode::Compliance, 30), (0, 0, 0)),
        ("longer", shown(LockMode::Compliance, 31), (0, 0, 0)),
        ("shorter", shown(LockMode::Compliance, 29), (1, 0, 1)),
        ("weaker", shown(LockMode::Governance, 30), (1, 0, 0)),
        ("not locked", Some(head(None)), (1, 0, 1)),
        ("not there", None, (1, 1, 0)),
    ];
    for (case, head, expected) in cases {
        let row = row(1, ObjectState::Live);
        let ledger = ledger(vec![row.clone()]);
        let mut out = Compared::default();
        ledger.take_sampled(&row, head.as_ref(), "", &mut out);
        let found = (out.findings.len(), out.gone.len(), out.shorter.len());
        assert_eq!(found, expected, "{case}");
        assert!(out.findings.iter().all(|finding| finding.needed), "{case}");
    }
}
