//! An address that is signed for a read gives the bytes that it was asked for, of one version, and no others: the range is among
//! the signed headers, and the store refuses what was not signed.

use std::fs;

use agent::client::ClientError;
use reqwest::StatusCode;
use shared::{
    api::agent::{Part, ReadsRequest, RestorePurpose, RestoreRequest, SignedRead},
    object::{ObjectHash, ObjectKind, ObjectRef},
    retention::LockMode,
    schedule::Schedule,
};

use crate::{
    support::{Site, Stack},
    sweep::{Ground, noise},
};

/// A snapshot's pack, a restore of it that is under way, and its manifest.
async fn begun(stack: &Stack) -> (Site, shared::ids::RestoreId, [ObjectRef; 2]) {
    let site = stack
        .site_in("acme", Schedule::manual(), LockMode::Governance)
        .await;
    fs::write(site.data.join("a"), noise(1, 300_000)).unwrap();
    let snapshot = site.backup().await.unwrap();
    let ground = Ground::of_ledger(stack, &site).await;
    let of = |kind| {
        let row = ground.ledger.iter().find(|row| row.object.kind == kind);
        row.unwrap().object
    };
    let objects = [of(ObjectKind::Pack), of(ObjectKind::Manifest)];
    site.authorise(&stack.operator, snapshot.id).await;
    let request = RestoreRequest {
        snapshot_id: snapshot.id,
        purpose: RestorePurpose::Restore,
    };
    let work = site.client().start_restore(&request).await.unwrap();
    (site, work.restore_id, objects)
}

async fn get(read: &SignedRead, range: Option<&str>) -> (StatusCode, Option<String>, Vec<u8>) {
    let mut request = reqwest::Client::new().get(&read.url);
    if let Some(range) = range {
        request = request.header("range", range);
    }
    let answer = request.send().await.unwrap();
    let named = answer.headers().get("content-range");
    let named = named.map(|named| named.to_str().unwrap().to_owned());
    (answer.status(), named, answer.bytes().await.unwrap().to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_gives_its_range_and_nothing_else() {
    let stack = Stack::start().await;
    let (site, restore, [pack, manifest]) = begun(&stack).await;
    let client = site.client();
    let parts = vec![
        Part::of(pack.hash, &(100..200)),
        Part::of(pack.hash, &(0..1)),
        Part::whole(&pack),
        Part::whole(&manifest),
    ];
    let request = ReadsRequest { parts: parts.clone() };
    let reads = client.restore_reads(restore, &request).await.unwrap();
    let answered: Vec<Part> = reads.iter().map(|read| read.part).collect();
    assert_eq!(answered, parts, "one address a part, in the order asked");
    for read in &reads {
        assert!(
            read.url.contains("X-Amz-SignedHeaders=host%3Brange"),
            "{}",
            read.url
        );
        let (status, named, bytes) = get(read, Some(&read.part.header())).await;
        assert_eq!(
            (status, bytes.len() as u64),
            (StatusCode::PARTIAL_CONTENT, read.part.len())
        );
        let (begin, last) = (read.part.begin, read.part.end - 1);
        assert_eq!(named, Some(format!("bytes {begin}-{last}/{}", read.size_bytes)));
    }
    let whole = get(&reads[2], Some(&parts[2].header())).await.2;
    assert_eq!(repository::hash(&whole), pack.hash);
    assert_eq!(get(&reads[0], Some(&parts[0].header())).await.2, whole[100..200]);

    // The whole object, another range, one more byte, several ranges, or another spelling: not what was signed.
    let others = [
        None,
        Some("bytes=0-"),
        Some("bytes=0-0"),
        Some("bytes=100-200"),
        Some("bytes=99-199"),
        Some("bytes=100-199,300-400"),
        Some("bytes=-100"),
        Some("Bytes=100-199"),
    ];
    for range in others {
        let (status, _, body) = get(&reads[0], range).await;
        let body = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(status, StatusCode::FORBIDDEN, "{range:?}: {body}");
        assert!(
            body.contains("<Code>SignatureDoesNotMatch</Code>"),
            "{range:?}: {body}"
        );
    }
    // The address of the whole is one of a range as well.
    assert_eq!(get(&reads[2], None).await.0, StatusCode::FORBIDDEN);
}

/// Parts that are none, of either kind of reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_lies_within_its_object() {
    let stack = Stack::start().await;
    let (site, restore, [pack, manifest]) = begun(&stack).await;
    let client = site.client();
    let code = |refused: Result<Vec<SignedRead>, ClientError>| match refused.unwrap_err() {
        ClientError::Refused {
            status,
            code,
            message,
        } => (status, code, message),
        other => panic!("{other}"),
    };
    for object in [pack, manifest] {
        let size = object.size_bytes;
        for (begin, end) in [
            (0, 0),
            (5, 5),
            (5, 4),
            (0, size + 1),
            (size, size + 1),
            (0, u64::MAX),
        ] {
            let object = object.hash;
            // What is sound beside it is refused with it.
            let parts = vec![Part::whole(&manifest), Part { object, begin, end }];
            let request = ReadsRequest { parts };
            let (status, code, message) = code(client.restore_reads(restore, &request).await);
            assert_eq!((status, code.as_str()), (422, "parts"), "{begin}..{end}");
            assert!(message.contains("end") || message.contains("begin"), "{message}");
        }
    }
    let source = site.source.id;
    let request = |part| ReadsRequest { parts: vec![part] };
    let (begin, end) = (0, manifest.size_bytes + 1);
    let beyond = Part {
        object: manifest.hash,
        begin,
        end,
    };
    let (status, ..) = code(client.source_reads(source, &request(beyond)).await);
    assert_eq!(status, 422);
    client
        .source_reads(source, &request(Part::whole(&manifest)))
        .await
        .unwrap();
    // No byte of a pack without a restore, and none of what nobody knows.
    for hash in [pack.hash, ObjectHash::from_bytes([3; 32])] {
        let (status, ..) = code(
            client
                .source_reads(source, &request(Part::of(hash, &(0..1))))
                .await,
        );
        assert_eq!(status, 404);
    }
}
