//! What a thief, a liar or a mishap can put in the place of the right bytes, and the error that tells which it was.

use repository::{
    SealError, WireError,
    commit::{CommitError, CommitRecord, CommitSigningKey},
    identity::{AgentSigningKey, Certificate, IdentityError},
    index::{self, IndexError},
    manifest::{self, ManifestError, ManifestHeader},
    object_list::{ListError, Replay},
    pack::{self, OpenPack, PackError, PackKey},
    recovery::{RecoverySecret, RecoverySeed},
};
use shared::{
    ids::{AgentId, RunId, SourceId},
    object::ObjectKind,
};
use uuid::Uuid;

use crate::support::sample::{AGENT, SOURCE, Sample};

fn stranger() -> RecoverySecret {
    RecoverySeed::from_bytes([0x99; 32]).secret()
}

fn pack_of(sample: &Sample, number: usize) -> Vec<u8> {
    sample.object(&sample.packs[number].object).to_vec()
}

fn opened(sample: &Sample, bytes: &[u8]) -> Result<usize, PackError> {
    let key = PackKey::open(ObjectKind::Pack, bytes, &sample.kit.secret())?;
    let chunks = pack::verify(ObjectKind::Pack, bytes, &key, &sample.secret.chunk_key())?;
    Ok(chunks.len())
}

fn header(sample: &Sample, number: usize) -> ManifestHeader {
    manifest::open_header(&sample.manifests[number].1, &sample.agent.public()).unwrap()
}

#[test]
fn a_wrong_key_is_named() {
    let sample = Sample::new();
    let other = |error: &SealError| matches!(error, SealError::OtherRecipient { .. });
    let pack = PackKey::open(ObjectKind::Pack, &pack_of(&sample, 0), &stranger());
    assert!(matches!(pack, Err(PackError::Seal(error)) if other(&error)));
    let segment = sample.of_kind(ObjectKind::Index)[0];
    assert!(
        matches!(index::open_with_kit(segment, &stranger()), Err(IndexError::Seal(error)) if other(&error))
    );
    let content = manifest::open_content(&sample.manifests[0].1, &stranger());
    assert!(matches!(content, Err(ManifestError::Seal(error)) if other(&error)));
    // Another agent's index key cannot be told from changed bytes.
    let key = repository::chunk::SourceSecret::from_bytes([1; 32]).index_key();
    let wrong = index::open(segment, &key);
    assert!(matches!(
        wrong,
        Err(IndexError::Seal(SealError::DoesNotOpen { .. }))
    ));
    // One pack's key on another pack.
    let key = PackKey::open(ObjectKind::Pack, &pack_of(&sample, 2), &sample.kit.secret()).unwrap();
    let wrong = pack::verify(
        ObjectKind::Pack,
        &pack_of(&sample, 0),
        &key,
        &sample.secret.chunk_key(),
    );
    assert!(matches!(
        wrong,
        Err(PackError::Seal(SealError::DoesNotOpen { .. }))
    ));
}

#[test]
fn a_tampered_a_truncated_and_a_swapped_pack_are_told_apart() {
    let sample = Sample::new();
    let right = pack_of(&sample, 0);
    assert_eq!(opened(&sample, &right), Ok(sample.packs[0].entries.len()));

    let mut tampered = right.clone();
    let body = sample.packs[0].body_offset as usize;
    tampered[body] ^= 1;
    assert_eq!(
        opened(&sample, &tampered),
        Err(PackError::Seal(SealError::DoesNotOpen { what: "chunk" }))
    );
    assert_eq!(
        opened(&sample, &right[..right.len() - 100]),
        Err(PackError::Wire(WireError::Truncated))
    );
    assert_eq!(
        opened(&sample, &right[..40]),
        Err(PackError::Wire(WireError::Truncated))
    );
    // A pack of listings where one of files belongs.
    let trees = pack_of(&sample, 1);
    assert_eq!(
        opened(&sample, &trees),
        Err(PackError::Wire(WireError::WrongKind {
            expected: 1,
            found: 2
        }))
    );
    // Another sound pack under this one's name: its own bytes open, but they are not the chunks that the index names.
    let other = pack_of(&sample, 2);
    let key = PackKey::open(ObjectKind::Pack, &other, &sample.kit.secret()).unwrap();
    let swapped = OpenPack::new(ObjectKind::Pack, &other, &key).unwrap();
    let (position, offset, entry) = sample.packs[2].places().next().unwrap();
    let begin = usize::try_from(offset).unwrap();
    let mut sealed = other[begin..begin + usize::try_from(entry.sealed_len()).unwrap()].to_vec();
    let mut named = *entry;
    named.id = sample.packs[0].entries[0].id;
    assert_eq!(
        swapped.chunk(position, &named, &mut sealed, &sample.secret.chunk_key()),
        Err(PackError::WrongChunk { position })
    );
}

/// A server, or whoever writes to the bucket, that passes off a true manifest as another.
#[test]
fn a_replayed_manifest_is_named() {
    let sample = Sample::new();
    let (first, second) = (header(&sample, 0), header(&sample, 1));
    let here = SourceId::from_uuid(SOURCE);
    let other = SourceId::from_uuid(Uuid::from_u128(9));
    assert_eq!(first.is_of(here), Ok(()));
    assert_eq!(
        first.is_of(other),
        Err(ManifestError::OtherSource {
            found: here,
            expected: other
        })
    );

    // An old snapshot of the same source in the place of the newest, and the other way round.
    let record =
        |number: usize| CommitRecord::open(&sample.commits[number], &sample.server.verifying_key()).unwrap();
    assert_eq!(
        (record(0).leads_to(&first), record(1).leads_to(&second)),
        (Ok(()), Ok(()))
    );
    let differs = |record: CommitRecord, manifest: &ManifestHeader| match record.leads_to(manifest) {
        Err(CommitError::OtherManifest { what }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(differs(record(1), &first), "runs");
    let run_id = first.run_id;
    assert_eq!(differs(CommitRecord { run_id, ..record(1) }, &first), "numbers");
    assert_eq!(
        differs(
            CommitRecord {
                run_id,
                seq: 1,
                ..record(1)
            },
            &first
        ),
        "parents"
    );
    assert_eq!(
        differs(
            CommitRecord {
                source_id: other,
                ..record(0)
            },
            &first
        ),
        "sources"
    );

    // A manifest that another agent has signed.
    let stranger = AgentSigningKey::from_seed([7; 32]).public();
    assert!(matches!(
        manifest::open_header(&sample.manifests[0].1, &stranger),
        Err(ManifestError::OtherSigner { .. })
    ));
    // A page of another list.
    let mut pages = sample.of_kind(ObjectKind::ListPage);
    pages.sort_by_key(|bytes| repository::hash(bytes) == sample.lists[0].pages().next().unwrap().hash);
    assert!(matches!(
        Replay::new(&sample.lists[0]).page(pages[0]),
        Err(ListError::OtherPage { .. })
    ));
}

#[test]
fn a_forged_commit_record_is_named() {
    let sample = Sample::new();
    let record = CommitRecord::open(&sample.commits[0], &sample.server.verifying_key()).unwrap();
    let forged = CommitRecord {
        run_id: RunId::from_uuid(Uuid::from_u128(9)),
        ..record
    };
    let by_another = forged.sign(&CommitSigningKey::from_seed([1; 32]));
    let error = CommitRecord::open(&by_another, &sample.server.verifying_key()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the signature of the commit record does not verify"
    );
    assert!(matches!(
        error,
        CommitError::Signature(IdentityError::BadSignature { .. })
    ));
    // The signature of one record under another.
    let (one, two) = (&sample.commits[0], &sample.commits[1]);
    let grafted = [&two[..two.len() - 64], &one[one.len() - 64..]].concat();
    assert!(matches!(
        CommitRecord::open(&grafted, &sample.server.verifying_key()),
        Err(CommitError::Signature(_))
    ));
}

#[test]
fn a_forged_and_a_transplanted_certificate_are_told_apart() {
    let sample = Sample::new();
    let kit = sample.kit.secret();
    let agent = AgentId::from_uuid(AGENT);
    let key = sample.agent.public();
    assert_eq!(sample.certificate.verify(agent, &key, kit.public()), Ok(()));
    let forged = Certificate::issue(agent, &key, &stranger());
    assert_eq!(
        forged.verify(agent, &key, kit.public()),
        Err(IdentityError::BadSignature {
            what: "agent certificate"
        })
    );
    // The true certificate of another agent, or of a key that this agent had before.
    let other = AgentId::from_uuid(Uuid::from_u128(9));
    assert_eq!(
        sample.certificate.verify(other, &key, kit.public()),
        Err(IdentityError::OtherSubject)
    );
    let new_key = AgentSigningKey::from_seed([7; 32]).public();
    assert_eq!(
        sample.certificate.verify(agent, &new_key, kit.public()),
        Err(IdentityError::OtherSubject)
    );
    // In a manifest, it does not count for the key that signed.
    let mut header = header(&sample, 1);
    assert_eq!(header.certified(kit.public()), Ok(true));
    header.certificate = Some(Certificate::issue(other, &key, &kit));
    assert_eq!(
        header.certified(kit.public()),
        Err(ManifestError::Identity(IdentityError::OtherSubject))
    );
}
