//! Whatever stands in the bucket: a decoder refuses it or understands it in the one way there is, never panics, and
//! takes no more memory than what it was given warrants. The fuzz targets in `fuzz/` do the same for longer.

use std::{
    fs,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use proptest::{prelude::*, sample::Index};
use repository::{
    commit::CommitRecord,
    decoders::{self, Decoder},
    identity::{Certificate, SignedRestoreKey},
    index,
    kit::Kit,
    manifest::{self, Warning, WarningKind},
    object_list::{ObjectList, Replay},
    pack::{self, PackKey},
    restore::{Grant, Recipient, RestoreOrder},
};
use shared::{ids::AgentId, object::ObjectKind};

use crate::HEAP;
use crate::rounds::rounds;
use crate::support::{
    cbor,
    sample::{AGENT, Sample, at, zstd_of_zeros},
    spoil::damage,
};

/// Memory is counted for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Valid input for each decoder, by its name.
fn samples(sample: &Sample, name: &str) -> Vec<Vec<u8>> {
    let copied = |kind| sample.of_kind(kind).into_iter().map(<[u8]>::to_vec).collect();
    match name {
        "pack_header" => copied(ObjectKind::Pack),
        "pack_footer" => sample.packs.iter().map(cbor::pack_footer).collect(),
        "stored_chunk" => vec![[&300_000u32.to_be_bytes()[..], &zstd_of_zeros(300_000)].concat()],
        "tree_page" => sample.listings.clone(),
        "chunk_list" => sample.chunk_lists.clone(),
        "index_header" => copied(ObjectKind::Index),
        "index_body" => vec![
            cbor::index_body(&sample.packs),
            cbor::index_body(&sample.packs[..1]),
        ],
        "manifest_header" => copied(ObjectKind::Manifest),
        "manifest_content" => vec![cbor::manifest_content(
            &sample.contents[0],
            &[Warning {
                path: b"/srv/data/x".to_vec(),
                kind: WarningKind::Vanished,
                detail: "gone".into(),
            }],
        )],
        "manifest_content_2" => sample.contents.iter().map(cbor::manifest_content_2).collect(),
        "warning_page" => sample.warning_pages.clone(),
        "list_page" => copied(ObjectKind::ListPage),
        "object_list" => sample.lists.iter().map(ObjectList::to_bytes).collect(),
        "commit_record" => copied(ObjectKind::Commit),
        "certificate" => vec![sample.certificate.to_bytes()],
        "restore_key" => vec![sample.announced.clone()],
        "restore_order" => vec![sample.order.clone()],
        "restore_grant" => vec![sample.grant.clone()],
        "grant_content" => vec![sample.grant_content.clone()],
        "recovery_kit" => vec![
            sample.kit.to_text().as_bytes().to_vec(),
            sample.kit.secret().public().to_string().into_bytes(),
        ],
        other => panic!("no sample for the decoder {other}"),
    }
}

/// Refused, or understood in the one way there is, in memory that is in proportion to the input.
fn withstands(decoder: &Decoder, bytes: &[u8]) -> Result<bool, TestCaseError> {
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    let read = (decoder.decode)(bytes);
    let taken = HEAP.peak_usage().saturating_sub(before);
    // A chunk promises its length, up to 4 MiB. An attribute of three bytes is 48 in memory, and vectors double.
    let promised = if decoder.name == "stored_chunk" {
        4 << 20
    } else {
        0
    };
    let bound = 64 * 1024 + promised + 128 * bytes.len();
    prop_assert!(
        taken <= bound,
        "{} took {taken} bytes for {}",
        decoder.name,
        bytes.len()
    );
    if let Some(again) = &read {
        prop_assert!(
            again == bytes,
            "{} understood bytes that it would not write",
            decoder.name
        );
    }
    Ok(read.is_some())
}

#[test]
fn every_decoder_reads_its_samples() {
    let _alone = alone();
    let sample = Sample::new();
    for decoder in &decoders::ALL {
        let samples = samples(&sample, decoder.name);
        assert!(!samples.is_empty(), "{}", decoder.name);
        for bytes in samples {
            assert!(withstands(decoder, &bytes).unwrap(), "{}", decoder.name);
        }
    }
}

#[test]
fn every_decoder_has_a_fuzz_target() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    let mut found: Vec<String> = fs::read_dir(targets)
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let mut names = decoders::ALL.map(|decoder| decoder.name);
    found.sort_unstable();
    names.sort_unstable();
    assert_eq!(found, names);
}

#[test]
#[ignore = "writes what fuzzing begins with: see fuzz/Cargo.toml"]
fn write_the_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let sample = Sample::new();
    for decoder in &decoders::ALL {
        let folder = corpus.join(decoder.name);
        fs::create_dir_all(&folder).unwrap();
        for bytes in samples(&sample, decoder.name) {
            fs::write(folder.join(repository::hash(&bytes).to_string()), bytes).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(rounds(1_500)))]

    #[test]
    fn decoders_withstand_damage(damages in proptest::collection::vec(damage(), 1..4), which in any::<Index>(), other in any::<Index>()) {
        thread_local! {
            static SAMPLES: Vec<Vec<Vec<u8>>> = {
                let sample = Sample::new();
                decoders::ALL.iter().map(|decoder| samples(&sample, decoder.name)).collect()
            };
        }
        let _alone = alone();
        SAMPLES.with(|samples| {
            for (decoder, own) in decoders::ALL.iter().zip(samples) {
                // What is spliced in comes from a sample of any decoder.
                let strange = &samples[other.index(samples.len())][0];
                let bytes = damages.iter().fold(own[which.index(own.len())].clone(), |bytes, damage| damage.apply(bytes, strange));
                withstands(decoder, &bytes)?;
            }
            Ok::<_, TestCaseError>(())
        })?;
    }

    #[test]
    fn decoders_withstand_random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _alone = alone();
        for decoder in &decoders::ALL {
            withstands(decoder, &bytes)?;
        }
    }
}

/// A whole object as a reader opens it: what it says, in any form that tells two apart.
type Opener = fn(&Sample, &[u8]) -> Result<String, String>;

fn text<T: std::fmt::Debug, E: std::fmt::Display>(result: Result<T, E>) -> Result<String, String> {
    result
        .map(|value| format!("{value:?}"))
        .map_err(|error| error.to_string())
}

fn open_pack(kind: ObjectKind, sample: &Sample, bytes: &[u8]) -> Result<String, String> {
    text(
        PackKey::open(kind, bytes, &sample.kit.secret())
            .and_then(|key| pack::verify(kind, bytes, &key, &sample.secret.chunk_key())),
    )
}

/// Each kind of object or message, with its keys; and valid ones.
fn whole(sample: &Sample) -> Vec<(&'static str, Opener, Vec<Vec<u8>>)> {
    let copied = |kind| {
        sample
            .of_kind(kind)
            .into_iter()
            .map(<[u8]>::to_vec)
            .collect::<Vec<_>>()
    };
    vec![
        (
            "pack",
            |s, b| open_pack(ObjectKind::Pack, s, b),
            copied(ObjectKind::Pack),
        ),
        (
            "tree pack",
            |s, b| open_pack(ObjectKind::TreePack, s, b),
            copied(ObjectKind::TreePack),
        ),
        (
            "index by agent",
            |s, b| text(index::open(b, &s.secret.index_key())),
            copied(ObjectKind::Index),
        ),
        (
            "index by kit",
            |s, b| text(index::open_with_kit(b, &s.kit.secret())),
            copied(ObjectKind::Index),
        ),
        (
            "manifest",
            |s, b| {
                let header = text(manifest::open_header(b, &s.agent.public()))?;
                Ok(header + &text(manifest::open_content(b, &s.kit.secret()))?)
            },
            copied(ObjectKind::Manifest),
        ),
        (
            "commit record",
            |s, b| text(CommitRecord::open(b, &s.server.verifying_key())),
            copied(ObjectKind::Commit),
        ),
        (
            "list page",
            |s, b| text(Replay::new(&s.lists[1]).page(b)),
            vec![shared_page(sample)],
        ),
        (
            "certificate",
            |s, b| {
                let read = Certificate::from_bytes(b).map_err(|error| error.to_string())?;
                text(read.verify(
                    AgentId::from_uuid(AGENT),
                    &s.agent.public(),
                    s.kit.secret().public(),
                ))
            },
            vec![sample.certificate.to_bytes()],
        ),
        (
            "restore key",
            |s, b| {
                text(SignedRestoreKey::open(
                    b,
                    AgentId::from_uuid(AGENT),
                    &s.agent.public(),
                ))
            },
            vec![sample.announced.clone()],
        ),
        (
            "restore order",
            |s, b| text(open_order(s, b)),
            vec![sample.order.clone()],
        ),
        (
            "restore grant",
            |s, b| text(Grant::open(b, &repository::hash(b), &s.restore_key)),
            vec![sample.grant.clone()],
        ),
        (
            "kit",
            |_, b| {
                let kit = Kit::parse(std::str::from_utf8(b).map_err(|error| error.to_string())?);
                text(kit.map(|kit| kit.secret().public().fingerprint()))
            },
            vec![sample.kit.to_text().as_bytes().to_vec()],
        ),
    ]
}

fn shared_page(sample: &Sample) -> Vec<u8> {
    sample.object(sample.lists[1].pages().next().unwrap()).to_vec()
}

fn open_order(sample: &Sample, bytes: &[u8]) -> Result<RestoreOrder, repository::restore::OrderError> {
    let kit = sample.kit.secret();
    let recipient = Recipient {
        agent_id: AgentId::from_uuid(AGENT),
        restore_key: sample.restore_key.public(),
        recovery: kit.public(),
        now: at(60),
    };
    RestoreOrder::open(bytes, recipient)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(rounds(120)))]

    /// Sealed and signed objects: damage is an error, or it did not touch what is said.
    #[test]
    fn whole_objects_are_refused_or_unharmed(damages in proptest::collection::vec(damage(), 1..4), which in any::<Index>()) {
        thread_local! {
            static SAMPLE: Sample = Sample::new();
        }
        let _alone = alone();
        SAMPLE.with(|sample| {
            for (name, open, objects) in whole(sample) {
                let valid = &objects[which.index(objects.len())];
                let right = open(sample, valid).unwrap();
                // Spliced with another of its kind: the nearest to something valid.
                let strange = &objects[objects.len() - 1];
                let spoilt = damages.iter().fold(valid.clone(), |bytes, damage| damage.apply(bytes, strange));
                if let Ok(read) = open(sample, &spoilt) {
                    prop_assert!(read == right || objects.contains(&spoilt), "{} says something else", name);
                    // Only a kit's file has parts that say nothing of its key.
                    prop_assert!(name == "kit" || objects.contains(&spoilt), "{} has bytes that nothing covers", name);
                }
            }
            Ok::<_, TestCaseError>(())
        })?;
    }
}
