//! What a store's wrong answers do to a server: grooming, clocks, and the readers of whole listings.

use std::fs;

use agent::{
    keygen::read_kit,
    recover::{AccessKey, BucketError, Endpoint, FoundSource, Reading, RecoverError, S3Bucket},
};
use holdfast_server::{rebuild, s3::S3Error};
use jiff::SignedDuration;
use lockbox::faults::{Action, Listing, On, Rule};
use sea_orm::ConnectionTrait;
use shared::{
    api::view::{BucketFindingKind, BucketInspection},
    schedule::Schedule,
};
use tokio::runtime::Handle;

use crate::{
    check::{check, page},
    groom::{broken_run, pack},
    rebuild::{apply, dry, five, rows},
    support::{Site, Stack, versions},
    sweep::{days, noise, reports},
};

fn fault(stack: &Stack, on: On, action: Action) -> lockbox::faults::Placed {
    stack.lockbox.faults().add(Rule::new(on, action))
}

/// S3 says `NoSuchVersion` of what is there, or of an id that it never gave: nothing counts as groomed, and it is told.
/// What is gone indeed is let go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_such_version_is_no_proof_that_it_is_gone() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    broken_run(&site, b"not needed").await;
    stack.sweep().await;
    stack.advance(days(90)).await;
    let unknown = fault(
        &stack,
        On::operation("DeleteObjects"),
        Action::delete_row("*", "NoSuchVersion"),
    );
    stack.sweep().await;
    assert!(unknown.hits() > 0);
    let left = versions(&stack.root(), &site.set.bucket).await;
    assert_eq!(
        (left.len(), stack.query("SELECT 1 FROM objects").await.len()),
        (1, 1)
    );
    let (_, report) = reports(&stack, &site).await;
    assert!(report.refused[0].contains("and lists it"), "{report:?}");

    // The ledger's id is wrong: S3 knows another version of the object.
    unknown.remove();
    let sql = "UPDATE objects SET version_id = 'never-given', locked_until = '2020-01-01T00:00:00Z', lock_mode = 'compliance'";
    stack.owner.execute_unprepared(sql).await.unwrap();
    stack.sweep().await;
    let (_, report) = reports(&stack, &site).await;
    assert!(report.refused[0].contains("may have a wrong id"), "{report:?}");
    let rows = stack.query("SELECT 1 FROM objects").await.len();
    assert_eq!(
        (versions(&stack.root(), &site.set.bucket).await.len(), rows),
        (1, 1)
    );

    // Somebody else has deleted it.
    let (key, version) = left[0].clone();
    let delete = stack.root().delete_object().bucket(&site.set.bucket).key(key);
    delete.version_id(version).send().await.unwrap();
    stack.sweep().await;
    assert!(stack.query("SELECT 1 FROM objects").await.is_empty());
}

/// Whether the server signs an upload now.
async fn signs(site: &Site) -> Result<(), String> {
    let client = site.client();
    let run = client.start_run(site.source.id).await.unwrap().run_id;
    let signed = client.uploads(run, &pack(b"new")).await;
    let reason = shared::api::agent::AbortRequest {
        reason: "x".into(),
        may_pass: false,
    };
    client.abort(run, &reason).await.unwrap();
    signed.map(drop).map_err(|error| error.to_string())
}

/// A store that refuses, with a date that is five years off, is signed for no more than one whose time is not known; and what
/// the store does keeps nobody from comparing server and database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_cannot_be_read_is_not_signed_for() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let asked = || On::operation("GetBucketVersioning");
    let faults = stack.lockbox.faults();
    let years = SignedDuration::from_hours(5 * 365 * 24).unsigned_abs();
    let expect = async |part: &str| {
        let refused = signs(&site).await.unwrap_err();
        assert!(refused.contains(part), "{refused}");
    };
    // Nothing is known of the store yet: what creating the set has found does not count.
    fault(&stack, asked(), Action::Drop);
    expect("time of the S3 endpoint is not known").await;
    faults.clear();

    fault(&stack, asked(), Action::status(403, "AccessDenied"));
    fault(&stack, asked(), Action::date_ahead(years));
    expect("clocks disagree").await;
    faults.clear();
    // A refusal with the right date is as good as an answer.
    fault(&stack, asked(), Action::status(403, "AccessDenied"));
    signs(&site).await.unwrap();
    faults.clear();

    // Known within the hour, and then no more.
    fault(&stack, asked(), Action::Drop);
    stack.advance(SignedDuration::from_mins(50)).await;
    signs(&site).await.unwrap();
    stack.clock.set_error(SignedDuration::from_mins(6));
    expect("clocks disagree").await;
    stack.clock.set_error(SignedDuration::ZERO);
    faults.clear();
    stack.advance(SignedDuration::from_mins(2)).await;
    signs(&site).await.unwrap();
    fault(&stack, asked(), Action::Drop);
    stack.advance(SignedDuration::from_mins(61)).await;
    expect("time of the S3 endpoint is not known").await;
    faults.clear();
    signs(&site).await.unwrap();
}

/// Listings that miss objects, or end early, make nothing missing: what they lack is asked for by name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_listing_lacks_is_asked_for_by_name() {
    let stack = Stack::start().await;
    let site = five(&stack).await;
    let before = rows(&stack).await;
    let path = format!("/tenants/{}/backup-sets/{}/inspect", site.tenant, site.set.id);
    for listing in [
        Listing::Without { keys: "*".into() },
        Listing::Without {
            keys: "*/commits/*".into(),
        },
        Listing::EndAfter { entries: 2 },
    ] {
        let rule = fault(
            &stack,
            On::operation("ListObjectVersions"),
            Action::Listing(listing.clone()),
        );
        let report = apply(&stack, &site).await;
        assert_eq!(report.sources.len(), 1, "{listing:?}");
        assert_eq!(report.sources[0].findings, [], "{listing:?}");
        assert_eq!(report.sources[0].refused, None, "{listing:?}");
        assert_eq!(rows(&stack).await, before, "{listing:?}");
        check(&stack).await;
        let (_, found) = page(&stack, &site).await;
        assert_eq!(
            (found.report.refused, found.report.missing),
            (None, 0),
            "{listing:?}"
        );
        // A look into the bucket says that the listing is no good, instead of numbers that are none.
        let looked = stack.operator.post::<BucketInspection>(&path, &()).await;
        let refused = looked.expect_err("the listing lacks what is there");
        assert!(refused.message.contains(stack.lockbox.endpoint()), "{refused:?}");
        assert!(rule.hits() > 0);
        rule.remove();
    }
    let marked = stack
        .query("SELECT 1 FROM objects WHERE missing_since IS NOT NULL")
        .await;
    assert!(marked.is_empty());
    let looked: BucketInspection = stack.operator.post(&path, &()).await.unwrap();
    assert_eq!((looked.missing_versions, looked.unknown_versions), (0, 0));
}

/// Two HEADs that say 404 of a version that is listed make it no more missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_false_404_makes_nothing_missing_for_a_rebuild() {
    let stack = Stack::start().await;
    let site = five(&stack).await;
    let before = rows(&stack).await;
    let on = || On::operation("HeadObject").key("*/packs/*");
    stack
        .lockbox
        .faults()
        .add(Rule::new(on(), Action::NotThere).times(2));
    assert_eq!(apply(&stack, &site).await.sources[0].findings, []);
    assert_eq!(rows(&stack).await, before);
    // One that goes on saying so contradicts its own listing: nothing is written.
    fault(&stack, on(), Action::NotThere);
    let (scope, set) = rebuild::find_set(&stack.app, Some(site.set.id)).await.unwrap();
    let options = rebuild::Options {
        apply: true,
        ..rebuild::Options::default()
    };
    let error = rebuild::backup_set(&stack.app, &scope, &set, &options)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("is listed"), "{error}");
    assert_eq!(rows(&stack).await, before);
}

/// Listings that never end, or go round, end with an error: of the rebuild, the daily check and the look into the bucket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listings_without_end_are_refused() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    fs::write(site.data.join("file"), noise(0, 10_000)).unwrap();
    site.backup().await.unwrap();
    stack.hold_rounds().await;
    let path = format!("/tenants/{}/backup-sets/{}/inspect", site.tenant, site.set.id);
    let (scope, set) = rebuild::find_set(&stack.app, Some(site.set.id)).await.unwrap();
    for listing in [
        Listing::NoMarker,
        Listing::SamePage,
        Listing::Marker { key: "a".into() },
        Listing::Endless { per_page: 10_000 },
    ] {
        let rule = fault(
            &stack,
            On::operation("ListObjectVersions"),
            Action::Listing(listing.clone()),
        );
        let rebuilt = rebuild::backup_set(&stack.app, &scope, &set, &rebuild::Options::default()).await;
        assert!(rebuilt.is_err(), "{listing:?}");
        assert!(
            stack.operator.post::<BucketInspection>(&path, &()).await.is_err(),
            "{listing:?}"
        );
        check(&stack).await;
        let (_, found) = page(&stack, &site).await;
        assert!(found.report.refused.is_some(), "{listing:?}");
        // Two pages each, but for the one whose markers ascend: its end is what the ledger expects, four times, and 100,000.
        let most = if matches!(listing, Listing::Endless { .. }) {
            200
        } else {
            30
        };
        assert!(rule.hits() <= most, "{listing:?}: {} pages", rule.hits());
        rule.remove();
    }
    assert_eq!(dry(&stack, &site).await.sources[0].findings, []);
    // A check that was refused waits before it is tried again.
    stack
        .change("UPDATE jobs SET run_at = '-infinity' WHERE kind = 'check'")
        .await;
    check(&stack).await;
    let (_, found) = page(&stack, &site).await;
    assert_eq!(found.report.refused, None);
    assert!(
        !found
            .findings
            .iter()
            .any(|finding| finding.kind == BucketFindingKind::Missing)
    );
    let error = S3Error::Malformed(String::new());
    assert!(error.is_passing(), "a job tries again");
}

/// What a recovery reads of the only source.
async fn recovery(stack: &Stack, site: &Site) -> Result<FoundSource, RecoverError> {
    let endpoint = Endpoint {
        url: Some(stack.lockbox.endpoint().to_owned()),
        region: "us-east-1".into(),
        bucket: site.set.bucket.clone(),
        path_style: true,
    };
    let key = AccessKey {
        id: crate::support::ACCESS_KEY.into(),
        secret: crate::support::SECRET_KEY.to_owned().into(),
        session_token: None,
    };
    let secret = read_kit(&site.kit).unwrap().secret();
    let (prefix, source, handle) = (site.set.prefix.clone(), site.source.id, Handle::current());
    let read = tokio::task::spawn_blocking(move || {
        let bucket = S3Bucket::new(&endpoint, &key, None, handle);
        let reading = Reading {
            bucket: &bucket,
            prefix: &prefix,
            secret: Some(&secret),
            commit_key: None,
            signers: &[],
        };
        assert_eq!(reading.sources()?, [source]);
        reading.source(source)
    });
    read.await.unwrap()
}

/// A recovery, which has no ledger: commit records that are not listed are asked for by name, so that no old snapshot passes
/// for the newest; listings that make no sense are refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_recovery_asks_for_what_the_listing_lacks() {
    let stack = Stack::start().await;
    let site = five(&stack).await;
    let numbers = |found: &FoundSource| -> Vec<u64> {
        found
            .snapshots
            .iter()
            .map(agent::recover::FoundSnapshot::seq)
            .collect()
    };
    let right = recovery(&stack, &site).await.unwrap();
    assert_eq!((numbers(&right), right.problems.len()), (vec![1, 2, 3, 4, 5], 0));
    let below = |folder: &str| {
        let folder = folder.to_owned();
        let is_of = move |prefix: &str| prefix.ends_with(&folder);
        On::operation("ListObjectVersions").when(move |seen| is_of(seen.key.as_deref().unwrap_or_default()))
    };
    for (folder, entries) in [
        ("/commits/", 2),
        ("/commits/", 0),
        ("/manifests/", 2),
        ("/manifests/", 0),
    ] {
        let rule = fault(
            &stack,
            below(folder),
            Action::Listing(Listing::EndAfter { entries }),
        );
        let found = recovery(&stack, &site).await.unwrap();
        assert_eq!(numbers(&found), [1, 2, 3, 4, 5], "{folder} {entries}");
        assert!(found.snapshots.iter().all(|snapshot| snapshot.commit.is_some()));
        assert!(
            found.problems.is_empty(),
            "{folder} {entries}: {:?}",
            found.problems
        );
        assert_eq!(rule.hits(), 1);
        rule.remove();
    }
    for listing in [
        Listing::NoMarker,
        Listing::SamePage,
        Listing::Marker { key: "a".into() },
    ] {
        let rule = fault(&stack, below("/commits/"), Action::Listing(listing.clone()));
        let error = recovery(&stack, &site)
            .await
            .expect_err("a listing that does not go on");
        assert!(
            matches!(error, RecoverError::Bucket(BucketError::Malformed(_))),
            "{error}"
        );
        assert!(rule.hits() <= 2, "{listing:?}: {} pages", rule.hits());
        rule.remove();
    }
    // What is none of S3's answers is asked for again.
    for action in [Action::Html, Action::Empty] {
        for on in [below("/commits/"), On::operation("GetObject")] {
            stack.lockbox.faults().add(Rule::new(on, action.clone()).times(2));
        }
        let found = recovery(&stack, &site).await.unwrap();
        assert_eq!(
            (numbers(&found), found.problems.len()),
            (vec![1, 2, 3, 4, 5], 0),
            "{action:?}"
        );
        stack.lockbox.faults().clear();
    }
}
