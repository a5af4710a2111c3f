//! Memory is taken for what has come, never for what is announced: by a server, by a storage, by a listing, by a file.

use std::{path::Path, sync::Arc, time::Duration};

use agent::{
    keygen::read_kit,
    progress::Silent,
    recover::{AccessKey, Bucket, BucketError, Endpoint, S3Bucket},
    snapshot::Expected,
    verify::Depth,
    verify::Verification,
};
use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse, Response},
};
use futures::{StreamExt as _, stream};
use shared::object::ObjectKind;
use tokio::runtime::Handle;

use crate::HEAP;
use crate::support::enrolled::{World, noise};
use crate::support::server::lies::{Lie, On};

/// The most that was held since `work` began, beyond what was held then, in bytes.
async fn peak_of<T>(work: impl Future<Output = T>) -> (T, usize) {
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    let done = work.await;
    (done, HEAP.peak_usage().saturating_sub(before))
}

/// Far below what is announced, and above what reading a small snapshot takes.
const ROOM: usize = 100 << 20;

/// A storage that announces 32 TiB, and one that goes on for a gigabyte: in a restore, in a verification, with every kind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_announced_length_takes_no_memory_of_a_restore_or_a_verification() {
    let world = World::new().await;
    world.enroll().await;
    world.write("a", &noise(1 << 20, 1));
    let snapshot = world.backup().await.unwrap();
    let what = Verification {
        snapshot: snapshot.id,
        depth: Depth::Everything,
        expected: Expected::default(),
        commit_key: None,
    };
    for kind in [
        ObjectKind::Manifest,
        ObjectKind::Index,
        ObjectKind::Pack,
        ObjectKind::TreePack,
    ] {
        for lie in [Lie::Announce(1 << 45), Lie::Longer(1 << 30)] {
            world.server.order(On::Kind(kind), 1, lie.clone());
            let to = format!("{kind:?}{lie:?}");
            let (restored, peak) = peak_of(world.restore(snapshot.id, &to, "kit")).await;
            restored.unwrap();
            assert!(peak < ROOM, "restore, {kind:?}, {lie:?}: {peak}");

            world.server.order(On::Kind(kind), 1, lie.clone());
            let (state, kit) = (world.path("state"), world.path("kit"));
            let verify = agent::verify(&state, &what, Some(&kit), Arc::new(Silent));
            let (report, peak) = peak_of(verify).await;
            assert!(report.unwrap().is_sound());
            assert!(peak < ROOM, "verify, {kind:?}, {lie:?}: {peak}");
        }
    }
    assert_eq!(world.server.told(), 16);
}

/// What a storage says of a refused upload is looked at, and not gathered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_refusal_takes_no_memory() {
    let world = World::new().await;
    world.enroll().await;
    world.write("a", b"a");
    world.server.lock().long_refusals = 1;
    let (snapshot, peak) = peak_of(world.backup()).await;
    snapshot.unwrap();
    assert_eq!(world.server.lock().long_refusals, 0);
    assert!(peak < ROOM, "{peak}");
}

/// An endpoint of S3 that answers everything with this.
async fn endpoint(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> S3Bucket {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = Endpoint {
        url: Some(format!("http://{}", listener.local_addr().unwrap())),
        region: "us-east-1".into(),
        bucket: "bucket".into(),
        path_style: true,
    };
    let app = axum::Router::new().fallback(move || std::future::ready(answer()));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let key = AccessKey {
        id: "id".into(),
        secret: "secret".to_owned().into(),
        session_token: None,
    };
    S3Bucket::new(&place, &key, None, Handle::current())
}

async fn get(
    bucket: S3Bucket,
    range: Option<std::ops::Range<u64>>,
    limit: u64,
) -> Result<Option<Vec<u8>>, BucketError> {
    let read = move || bucket.get("key", None, range, limit);
    tokio::task::spawn_blocking(read).await.unwrap()
}

/// A bucket whose objects are as long as an intruder likes. `limit` is what its listing says, which he wrote as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_announced_length_takes_no_memory_of_a_recovery() {
    let announcing = || {
        // The connection ends, but not before the headers are sent.
        let end = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Err(std::io::Error::other("the connection ends"))
        };
        let begin = stream::iter([Ok(Bytes::from_static(b"HFST"))]);
        let body = Body::from_stream(begin.chain(stream::once(end)));
        (
            [
                (header::ETAG, "\"0\""),
                (header::CONTENT_LENGTH, "35184372088832"),
            ],
            body,
        )
            .into_response()
    };
    let endless = || {
        let pieces = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![0; 1 << 20])));
        ([(header::ETAG, "\"0\"")], Body::from_stream(pieces)).into_response()
    };
    for limit in [1 << 10, 1 << 45, u64::MAX] {
        let (read, peak) = peak_of(get(endpoint(announcing).await, None, limit)).await;
        assert!(
            matches!(read, Err(BucketError::TooLong { .. })),
            "{limit}: {read:?}"
        );
        assert!(peak < ROOM, "{limit}: {peak}");
        // Half of this is the copy when what has come outgrows its place.
        let (read, peak) = peak_of(get(endpoint(endless).await, None, limit)).await;
        assert!(
            matches!(read, Err(BucketError::TooLong { .. })),
            "{limit}: {read:?}"
        );
        assert!(peak < 2 * ROOM, "{limit}: {peak}");
        let (read, peak) = peak_of(get(endpoint(announcing).await, Some(0..1 << 45), limit)).await;
        assert!(
            matches!(read, Err(BucketError::TooLong { .. })),
            "{limit}: {read:?}"
        );
        assert!(peak < ROOM, "{limit}: {peak}");
    }
}

/// Files that people name.
#[tokio::test]
async fn a_file_without_an_end_is_no_kit_and_no_credentials() {
    let (refused, peak) = peak_of(async {
        let endless = Path::new("/dev/zero");
        (
            read_kit(endless).is_err(),
            AccessKey::read(endless, "default").is_err(),
        )
    })
    .await;
    assert_eq!(refused, (true, true));
    assert!(peak < ROOM, "{peak}");
}
