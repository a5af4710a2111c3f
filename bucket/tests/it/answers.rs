//! Which answers of a store are believed: what is no answer of S3 is a failed try that may be repeated, never a success, an
//! empty listing, an absence or a damage.

use std::time::Duration;

use bucket::{
    Bounds, Deletion, Lock, ObjectStore as _, S3Error, SignPut, VersionName, content_md5, each_page,
    versions_of_key,
};
use jiff::SignedDuration;
use lockbox::faults::{Action, Listing, On, Placed, Rule};
use shared::retention::LockMode;

use crate::support::{Lab, now};

const BUCKET: &str = "answers";

/// A bucket with five objects of one version each.
async fn lab() -> Lab {
    let lab = Lab::start().await;
    lab.store.create_bucket(BUCKET).await.unwrap();
    for name in ["a", "b", "c", "d", "e"] {
        lab.put(name).await.unwrap();
    }
    lab
}

impl Lab {
    fn lock() -> Lock {
        Lock {
            mode: LockMode::Governance,
            retain_until: now() + SignedDuration::from_hours(24),
        }
    }

    async fn put(&self, key: &str) -> Result<(), S3Error> {
        let content = key.repeat(100).into_bytes();
        let put = SignPut {
            bucket: BUCKET,
            key,
            size_bytes: content.len() as u64,
            content_md5: content_md5(&content),
            lock: Self::lock(),
        };
        self.store.put_locked(put, content).await
    }

    async fn version(&self, key: &str) -> String {
        let head = self.store.head(BUCKET, key, None).await;
        head.unwrap().unwrap().version_id
    }

    fn fault(&self, on: On, action: Action) -> Placed {
        self.lockbox.faults().add(Rule::new(on, action))
    }

    /// What the store makes of each request.
    async fn ask(&self, operation: &str, version: &str) -> Result<String, S3Error> {
        let store = &self.store;
        match operation {
            "PutObject" => self.put("new").await.map(|()| "put".to_owned()),
            "PutObjectRetention" => {
                let extended = store.extend_lock(BUCKET, "a", version, Self::lock()).await;
                extended.map(|()| "extended".to_owned())
            }
            "HeadObject" => store
                .head(BUCKET, "a", Some(version))
                .await
                .map(|head| format!("{head:?}")),
            "GetObject" => store
                .get(BUCKET, "a", version, 1_000)
                .await
                .map(|body| format!("{body:?}")),
            "ListObjectVersions" => store
                .list_versions(BUCKET, "", None)
                .await
                .map(|page| format!("{page:?}")),
            "DeleteObjects" => {
                let name = VersionName {
                    key: "a".into(),
                    version_id: version.to_owned(),
                };
                let mut told = store.delete_versions(BUCKET, &[name]).await;
                told.remove(0).map(|told| format!("{told:?}"))
            }
            "GetBucketVersioning" => store.bucket_state(BUCKET).await.map(|state| format!("{state:?}")),
            "ListBuckets" => store.try_keys().await.map(|()| "keys".to_owned()),
            other => panic!("{other}"),
        }
    }
}

const OPERATIONS: [&str; 8] = [
    "PutObject",
    "PutObjectRetention",
    "HeadObject",
    "GetObject",
    "ListObjectVersions",
    "DeleteObjects",
    "GetBucketVersioning",
    "ListBuckets",
];

/// Whether an answer to a request can be told from a right one.
fn tells(operation: &str, action: &Action) -> bool {
    match (operation, action) {
        // An empty success is what S3 answers: whoever extends asks again by HEAD.
        ("PutObjectRetention", Action::Empty) => false,
        // A HEAD has no body that could tell a code.
        ("HeadObject", Action::Status { status: 400, .. }) => false,
        _ => true,
    }
}

/// Every request × every answer that is none: a failed try that may be repeated, and right again afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_answer_of_s3_is_a_failed_try() {
    let lab = lab().await;
    let version = lab.version("a").await;
    for action in [
        Action::Html,
        Action::Empty,
        Action::error_inside("InternalError"),
        Action::error_inside("SlowDown"),
        Action::status(400, "ServiceUnavailable"),
        Action::status(503, "SlowDown"),
        Action::Drop,
    ] {
        // Side by side, for each is tried again after a pause.
        let asked = OPERATIONS.iter().filter(|operation| tells(operation, &action));
        let (lab, version, action) = (&lab, &version, &action);
        let asked = asked.map(|operation| async move {
            let rule = lab.fault(On::operation(operation), action.clone());
            let error = lab.ask(operation, version).await.expect_err(operation);
            assert!(error.is_passing(), "{operation} {action:?}: {error}");
            assert!(rule.hits() > 0, "{operation} {action:?}");
            rule.remove();
        });
        futures::future::join_all(asked).await;
    }
    // What refuses for good is told apart from it.
    lab.fault(On::any(), Action::error_inside("AccessDenied"));
    let error = lab.ask("PutObjectRetention", &version).await.unwrap_err();
    assert!(!error.is_passing() && error.code() == "AccessDenied", "{error}");
    lab.lockbox.faults().clear();
    for operation in OPERATIONS
        .iter()
        .filter(|operation| **operation != "DeleteObjects")
    {
        lab.ask(operation, &version).await.unwrap();
    }
    assert_eq!(versions_of_key(&lab.store, BUCKET, "new").await.unwrap().len(), 1);
}

/// A page that says "not found" is no lost object.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_404_that_is_not_s3s_proves_no_absence() {
    let lab = lab().await;
    let version = lab.version("a").await;
    let page = Action::rewrite(|mut answer| {
        answer.status = 404.try_into().unwrap();
        answer.body = "<html>404</html>".into();
        answer
    });
    let rule = lab.fault(On::operation("GetObject"), page);
    let error = lab.ask("GetObject", &version).await.unwrap_err();
    assert!(error.is_passing() && error.code().is_empty(), "{error}");
    rule.remove();
    lab.fault(On::operation("GetObject"), Action::NotThere);
    let error = lab.ask("GetObject", &version).await.unwrap_err();
    assert!(!error.is_passing() && error.code() == "NoSuchVersion", "{error}");
}

/// Content that is cut, changed, or a part, is not content.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_is_what_its_etag_says_or_a_failed_try() {
    let lab = lab().await;
    let version = lab.version("a").await;
    for action in [
        Action::Cut { at_bytes: 50 },
        Action::DropInBody { after_bytes: 50 },
        Action::rewrite(|mut answer| {
            answer.body = vec![b'x'; answer.body.len()].into();
            answer
        }),
        Action::rewrite(|mut answer| {
            answer.status = 206.try_into().unwrap();
            answer
        }),
        Action::header("content-range", "bytes 0-99/200"),
        Action::header("x-amz-version-id", "another"),
    ] {
        let rule = lab.fault(On::operation("GetObject"), action.clone());
        let error = lab.ask("GetObject", &version).await.expect_err("wrong content");
        assert!(error.is_passing(), "{action:?}: {error}");
        rule.remove();
    }
    let long = lab.store.get(BUCKET, "a", &version, 99).await.unwrap_err();
    assert!(
        matches!(long, S3Error::TooLong { .. }) && !long.is_passing(),
        "{long}"
    );
    assert_eq!(
        lab.store.get(BUCKET, "a", &version, 100).await.unwrap(),
        [b'a'; 100]
    );
}

/// An answer without end is cut off below the SDK. (An SDK that reads it all takes 600 MB for 200 MB.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_answer_is_not_read() {
    let lab = lab().await;
    let version = lab.version("a").await;
    for operation in OPERATIONS
        .iter()
        .filter(|operation| !matches!(**operation, "HeadObject"))
    {
        let rule = lab.fault(On::operation(operation), Action::Huge { bytes: 1 << 40 });
        let asked = tokio::time::timeout(Duration::from_secs(60), lab.ask(operation, &version));
        let error = asked.await.expect("it ends").unwrap_err();
        assert!(error.is_passing(), "{operation}: {error}");
        rule.remove();
    }
}

/// Rows of a batch: what passes is passing, what S3 does not know is told apart from what it deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_batch_are_told_apart() {
    let lab = lab().await;
    let mut names = Vec::new();
    for key in ["a", "b", "c", "d"] {
        names.push(VersionName {
            key: key.into(),
            version_id: lab.version(key).await,
        });
    }
    for (key, code) in [("a", "NoSuchVersion"), ("b", "InternalError"), ("c", "SlowDown")] {
        lab.fault(On::operation("DeleteObjects"), Action::delete_row(key, code));
    }
    let told = lab.store.delete_versions(BUCKET, &names).await;
    assert!(matches!(told[0], Ok(Deletion::Unknown)), "{told:?}");
    assert!(
        told[1..3]
            .iter()
            .all(|told| told.as_ref().unwrap_err().is_passing()),
        "{told:?}"
    );
    // It is locked: a refusal for good.
    let locked = told[3].as_ref().unwrap_err();
    assert!(
        !locked.is_passing() && locked.code() == "AccessDenied",
        "{locked}"
    );
}

/// Listings that do not go on end within two pages; those that go on for ever end at their bounds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listings_have_an_end() {
    let lab = lab().await;
    let bounds = Bounds {
        entries: 100,
        pages: 50,
        name_bytes: 1 << 20,
        time: Duration::from_secs(60),
    };
    let walk = async || {
        let mut seen = 0;
        let walked = each_page(&lab.store, BUCKET, "", bounds, |page| {
            seen += page.entries.len();
            page.next
        });
        walked.await.map(|()| seen)
    };
    for (listing, pages) in [
        (Listing::NoMarker, 1),
        (Listing::SamePage, 2),
        (Listing::Marker { key: "b".into() }, 2),
        (Listing::Endless { per_page: 30 }, 4),
        (Listing::Endless { per_page: 0 }, 2),
    ] {
        let rule = lab.fault(
            On::operation("ListObjectVersions"),
            Action::Listing(listing.clone()),
        );
        let error = walk().await.expect_err("no end");
        assert!(matches!(error, S3Error::Malformed(_)), "{listing:?}: {error}");
        assert!(rule.hits() <= pages, "{listing:?}: {} pages", rule.hits());
        rule.remove();
    }
    // Keys of another prefix are no answer.
    let shifted = Action::rewrite(|mut answer| {
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        answer.body = text.replace("<Key>a</Key>", "<Key>zebra</Key>").into();
        answer
    });
    let rule = lab.fault(On::operation("ListObjectVersions"), shifted);
    let error = lab.store.list_versions(BUCKET, "a", None).await.unwrap_err();
    assert!(matches!(error, S3Error::Malformed(_)), "{error}");
    rule.remove();
    assert_eq!(walk().await.unwrap(), 5);
}

/// The store's clock is read from whatever it answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_tells_the_time_too() {
    let lab = lab().await;
    let years = SignedDuration::from_hours(5 * 365 * 24);
    lab.fault(
        On::operation("GetBucketVersioning"),
        Action::status(403, "AccessDenied"),
    );
    lab.fault(On::any(), Action::date_ahead(years.unsigned_abs()));
    let told = lab.store.time(BUCKET).await.unwrap();
    let ahead = told.duration_since(now());
    assert!((ahead - years).abs() < SignedDuration::from_mins(5), "{told}");
    lab.fault(On::any(), Action::header("date", "yesterday"));
    assert!(lab.store.time(BUCKET).await.is_err());
    lab.lockbox.faults().clear();
    // A store that lies about the time moves no clock of ours: the next request is signed as before.
    lab.ask("ListBuckets", "").await.unwrap();
}
