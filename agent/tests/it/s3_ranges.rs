//! Ranges from a bucket whose endpoint, or something before it, does not know them, or answers with others.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use agent::recover::{AccessKey, Bucket, BucketError, Endpoint, S3Bucket};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use futures::StreamExt as _;
use tokio::runtime::Handle;

/// What comes instead of a range, for the first so many requests.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    Whole,
    Html,
    OtherRange,
    Unnamed,
    /// The right range, named, with 200.
    NoPart,
    /// The right range, with a pause of 12 s in the middle of it.
    Pause,
}

#[derive(Clone)]
struct Liar {
    wrong: Wrong,
    left: Arc<AtomicU32>,
    asked: Arc<AtomicU32>,
}

/// S3 names one with every object (Amazon S3 API, GetObject).
const ETAG: &str = "\"0123456789abcdef0123456789abcdef-1\"";

fn object() -> Vec<u8> {
    [
        b"HFST".as_slice(),
        &(0..5000u32).flat_map(u32::to_be_bytes).collect::<Vec<u8>>(),
    ]
    .concat()
}

async fn get(State(liar): State<Liar>, headers: HeaderMap) -> Response {
    liar.asked.fetch_add(1, Relaxed);
    let object = object();
    let range = headers["range"].to_str().unwrap().strip_prefix("bytes=").unwrap();
    let (begin, last) = range.split_once('-').unwrap();
    let (begin, last): (usize, usize) = (begin.parse().unwrap(), last.parse().unwrap());
    let part = |begin: usize, last: usize, named: bool| {
        let header = format!("bytes {begin}-{last}/{}", object.len());
        let header = named.then_some(("content-range", header));
        let headers: HeaderMap = header
            .into_iter()
            .chain([("etag", ETAG.to_owned())])
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        (
            StatusCode::PARTIAL_CONTENT,
            headers,
            object[begin..=last].to_vec(),
        )
            .into_response()
    };
    if liar
        .left
        .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
        .is_err()
    {
        return part(begin, last, true);
    }
    match liar.wrong {
        Wrong::Whole => ([("etag", ETAG)], object).into_response(),
        Wrong::Html => axum::response::Html("<html>please sign in</html>").into_response(),
        Wrong::OtherRange => part(begin + 1, last + 1, true),
        Wrong::Unnamed => part(begin, last, false),
        Wrong::NoPart => {
            let mut answer = part(begin, last, true);
            *answer.status_mut() = StatusCode::OK;
            answer
        }
        Wrong::Pause => {
            let (parts, _) = part(begin, last, true).into_parts();
            let part = object[begin..=last].to_vec();
            let (first, rest) = part.split_at(part.len() / 2);
            let pieces = [(0, first.to_vec()), (12, rest.to_vec())];
            let pieces = futures::stream::iter(pieces).then(|(seconds, piece)| async move {
                tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
                Ok::<_, std::convert::Infallible>(piece)
            });
            Response::from_parts(parts, axum::body::Body::from_stream(pieces))
        }
    }
}

async fn read(wrong: Wrong, times: u32, range: Range<u64>) -> (Result<Option<Vec<u8>>, BucketError>, u32) {
    let liar = Liar {
        wrong,
        left: Arc::new(times.into()),
        asked: Arc::default(),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint {
        url: Some(format!("http://{}", listener.local_addr().unwrap())),
        region: "us-east-1".into(),
        bucket: "bucket".into(),
        path_style: true,
    };
    let app = Router::new().fallback(get).with_state(liar.clone());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let key = AccessKey {
        id: "id".into(),
        secret: "secret".to_owned().into(),
        session_token: None,
    };
    let handle = Handle::current();
    let read = tokio::task::spawn_blocking(move || {
        let limit_bytes = object().len() as u64;
        S3Bucket::new(&endpoint, &key, None, handle).get("key", None, Some(range), limit_bytes)
    });
    (read.await.unwrap(), liar.asked.load(Relaxed))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_the_range_is_asked_for_again() {
    let expected = object()[1000..1400].to_vec();
    for (wrong, times, asked) in [
        (Wrong::Whole, 2, 3),
        (Wrong::Html, 2, 3),
        (Wrong::OtherRange, 2, 3),
        (Wrong::Unnamed, 2, 3),
        (Wrong::NoPart, 2, 3),
    ] {
        let (read, requests) = read(wrong, times, 1000..1400).await;
        assert_eq!(read, Ok(Some(expected.clone())), "{wrong:?}");
        assert_eq!(requests, asked, "{wrong:?}");
    }
}

/// A gateway that fetches an object from elsewhere pauses in the middle of each answer: the first one is read to its end.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_pauses_for_12_seconds_is_read_to_its_end() {
    let (read, requests) = read(Wrong::Pause, u32::MAX, 1000..1400).await;
    assert_eq!(read, Ok(Some(object()[1000..1400].to_vec())));
    assert_eq!(requests, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_ranges_for_ever_are_an_error_of_the_endpoint() {
    for wrong in [
        Wrong::Whole,
        Wrong::Html,
        Wrong::OtherRange,
        Wrong::Unnamed,
        Wrong::NoPart,
    ] {
        let (read, _) = read(wrong, u32::MAX, 1000..1400).await;
        assert!(
            matches!(read, Err(BucketError::Malformed(_))),
            "{wrong:?}: {read:?}"
        );
    }
}
