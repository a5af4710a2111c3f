//! Faults on purpose: each kind of rule does what it says, to what it matches, as often as it says, and to nothing else.

use std::time::Duration;

use aws_sdk_s3::types::{Delete, ObjectIdentifier, ObjectLockMode};
use lockbox::faults::{Action, Listing, On, Placed, Rule};
use reqwest::Method;

use crate::support::lab::{DAY, LOCKED, Lab};
use crate::support::sign::{Raw, between};

const KEY: &str = "a/packs/1";

async fn lab() -> Lab {
    let lab = Lab::start().await;
    lab.put(LOCKED, KEY, b"0123456789").await;
    lab.put(LOCKED, "a/packs/2", b"second").await;
    lab.put(LOCKED, "b/index/3", b"third").await;
    lab
}

fn add(lab: &Lab, on: On, action: Action) -> Placed {
    lab.running.faults().add(Rule::new(on, action))
}

fn get(lab: &Lab, key: &str) -> Raw {
    Raw::new(lab, Method::GET, &format!("/{LOCKED}/{key}"))
}

#[tokio::test]
async fn a_rule_ends_by_count_time_or_hand_and_spares_what_it_does_not_match() {
    let lab = lab().await;
    let faults = lab.running.faults();
    let on = || On::operation("HeadObject").key("*/packs/*");
    let head = async |key: &str| {
        let head = lab.s3.head_object().bucket(LOCKED).key(key).send().await;
        head.map(drop)
            .map_err(|error| error.raw_response().unwrap().status().as_u16())
    };
    let lie = faults.add(Rule::new(on(), Action::NotThere).times(2));
    assert_eq!(head("b/index/3").await, Ok(()));
    assert_eq!((head(KEY).await, head(KEY).await), (Err(404), Err(404)));
    assert_eq!(head(KEY).await, Ok(()));
    assert_eq!(lie.hits(), 2);

    faults.add(Rule::new(on(), Action::status(503, "SlowDown")).after(1));
    assert_eq!((head(KEY).await, head(KEY).await), (Ok(()), Err(503)));
    faults.clear();
    assert_eq!(head(KEY).await, Ok(()));

    faults.add(Rule::new(on(), Action::status(500, "InternalError")).lasting(Duration::from_millis(300)));
    assert_eq!(head(KEY).await, Err(500));
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(head(KEY).await, Ok(()));

    let removed = faults.add(Rule::new(
        on().when(|seen| seen.query.is_empty()),
        Action::NotThere,
    ));
    assert_eq!(head(KEY).await, Err(404));
    removed.remove();
    assert_eq!(head(KEY).await, Ok(()));
}

#[tokio::test]
async fn answers_in_place_of_the_store_change_nothing_in_it() {
    let lab = lab().await;
    for (action, status, part) in [
        (
            Action::status(403, "AccessDenied"),
            403,
            "<Code>AccessDenied</Code>",
        ),
        (Action::NotThere, 404, "<Code>NoSuchKey</Code>"),
        (Action::Empty, 200, ""),
        (Action::Html, 200, "<html>"),
        (
            Action::error_inside("InternalError"),
            200,
            "<Code>InternalError</Code>",
        ),
    ] {
        let rule = add(&lab, On::operation("PutObject"), action.clone());
        let answer = Raw::put(&lab, &format!("/{LOCKED}/new"), &[7; 300_000])
            .sign()
            .send()
            .await;
        assert_eq!(answer.status().as_u16(), status, "{action:?}");
        let text = answer.text().await.unwrap();
        assert!(
            text.contains(part) && text.is_empty() == part.is_empty(),
            "{text}"
        );
        assert_eq!(rule.hits(), 1);
        rule.remove();
    }
    assert_eq!(lab.everything(LOCKED).await.len(), 3);
    add(
        &lab,
        On::operation("ListBuckets"),
        Action::Huge { bytes: 3_000_000 },
    );
    let answer = Raw::new(&lab, Method::GET, "/").sign().send().await;
    assert_eq!(answer.bytes().await.unwrap().len(), 3_000_000);
}

#[tokio::test]
async fn a_stalled_request_gets_no_answer_and_a_delayed_one_gets_it_late() {
    let lab = lab().await;
    let stall = add(&lab, On::operation("GetObject"), Action::Stall);
    let request = get(&lab, KEY).sign();
    let client = reqwest::Client::new();
    let url = format!("{}{}", request.endpoint, request.path);
    let waiting = tokio::spawn(client.get(url).send());
    while stall.hits() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    stall.remove();
    assert!(waiting.await.unwrap().is_err());

    let wait = Duration::from_millis(300);
    add(&lab, On::operation("GetObject"), Action::delay(wait));
    let early = tokio::time::timeout(wait / 2, request.send()).await;
    assert!(early.is_err());
    assert_eq!(lab.get(LOCKED, KEY).await, b"0123456789");

    // A server that stops does not wait for what it stalls.
    let stall = add(&lab, On::operation("HeadObject"), Action::Stall);
    let head = tokio::spawn(lab.s3.head_object().bucket(LOCKED).key(KEY).send());
    while stall.hits() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::timeout(Duration::from_secs(8), lab.running.stop())
        .await
        .unwrap();
    assert!(head.await.unwrap().is_err());
}

#[tokio::test]
async fn connections_drop_before_after_and_within_the_answer() {
    let lab = lab().await;
    let before = add(&lab, On::operation("PutObject"), Action::Drop);
    let put = async |key: &str| {
        let put = lab.s3.put_object().bucket(LOCKED).key(key);
        let put = put.body(aws_sdk_s3::primitives::ByteStream::from_static(b"x"));
        put.send().await.is_ok()
    };
    assert!(!put("dropped").await);
    before.remove();
    let after = add(&lab, On::operation("PutObject"), Action::DropAfter);
    assert!(!put("lost").await);
    after.remove();
    let there = lab.everything(LOCKED).await.join(" ");
    assert!(there.contains("lost") && !there.contains("dropped"), "{there}");

    add(
        &lab,
        On::operation("GetObject").key(KEY),
        Action::DropInBody { after_bytes: 4 },
    );
    let answer = get(&lab, KEY).sign().send().await;
    assert_eq!(answer.content_length(), Some(10));
    assert!(answer.bytes().await.is_err());
    add(
        &lab,
        On::operation("GetObject").key("a/packs/2"),
        Action::Cut { at_bytes: 4 },
    );
    let cut = get(&lab, "a/packs/2").sign().send().await;
    assert_eq!(cut.text().await.unwrap(), "seco");
}

#[tokio::test]
async fn ranges_headers_dates_and_bodies_are_changed() {
    let lab = lab().await;
    let ranged = || get(&lab, KEY).header("range", "bytes=2-4").sign();
    let whole = add(
        &lab,
        On::operation("GetObject").ranged(true),
        Action::WholeForRange,
    );
    let answer = ranged().send().await;
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.text().await.unwrap(), "0123456789");
    whole.remove();
    let shifted = add(
        &lab,
        On::operation("GetObject"),
        Action::ShiftedRange { bytes: 3 },
    );
    let answer = ranged().send().await;
    assert_eq!(answer.status().as_u16(), 206);
    assert_eq!(answer.headers()["content-range"], "bytes 5-7/10");
    assert_eq!(answer.text().await.unwrap(), "567");
    shifted.remove();

    add(&lab, On::any(), Action::status(403, "AccessDenied"));
    add(&lab, On::any(), Action::date_ahead(DAY * 365));
    add(&lab, On::any(), Action::header("etag", "\"0\""));
    let answer = ranged().send().await;
    assert_eq!(answer.status().as_u16(), 403);
    assert_eq!(answer.headers()["etag"], "\"0\"");
    let year: i32 = time::OffsetDateTime::from(lab.clock.now() + DAY * 365).year();
    let date = answer.headers()["date"].to_str().unwrap().to_owned();
    assert!(date.contains(&year.to_string()), "{date}");
    lab.running.faults().clear();

    add(
        &lab,
        On::operation("GetObject"),
        Action::rewrite(|mut answer| {
            answer.body = answer.body.iter().rev().copied().collect();
            answer
        }),
    );
    let answer = get(&lab, KEY).sign().send().await;
    assert_eq!(answer.text().await.unwrap(), "9876543210");
}

#[tokio::test]
async fn a_row_of_a_batch_is_refused_and_its_version_stays() {
    let lab = lab().await;
    add(
        &lab,
        On::operation("DeleteObjects"),
        Action::delete_row("*/1", "InternalError"),
    );
    let ids = lab.everything(LOCKED).await;
    let mut delete = Delete::builder();
    for row in ids.iter().filter(|row| row.starts_with("a/")) {
        let (key, id) = row.split_once(' ').unwrap();
        delete = delete.objects(
            ObjectIdentifier::builder()
                .key(key)
                .version_id(id)
                .build()
                .unwrap(),
        );
    }
    let delete = lab
        .s3
        .delete_objects()
        .bucket(LOCKED)
        .delete(delete.build().unwrap());
    let answer = delete.send().await.unwrap();
    assert_eq!(answer.errors().len(), 1);
    assert_eq!(answer.errors()[0].code(), Some("InternalError"));
    assert_eq!(answer.deleted()[0].key(), Some("a/packs/2"));
    let left = lab.everything(LOCKED).await.join(" ");
    assert!(left.contains(KEY) && !left.contains("a/packs/2"), "{left}");
}

#[tokio::test]
async fn listings_lie_in_each_way() {
    let lab = lab().await;
    let page = async |marker: Option<&str>| {
        let page = lab.s3.list_object_versions().bucket(LOCKED).prefix("");
        let page = page
            .set_key_marker(marker.map(str::to_owned))
            .send()
            .await
            .unwrap();
        let keys: Vec<String> = page
            .versions()
            .iter()
            .map(|v| v.key().unwrap().to_owned())
            .collect();
        (
            keys,
            page.is_truncated().unwrap(),
            page.next_key_marker().map(str::to_owned),
        )
    };
    let rule = |listing| {
        add(
            &lab,
            On::operation("ListObjectVersions"),
            Action::Listing(listing),
        )
    };

    let without = rule(Listing::Without { keys: "*/1".into() });
    assert_eq!(
        page(None).await,
        (vec!["a/packs/2".into(), "b/index/3".into()], false, None)
    );
    without.remove();
    let early = rule(Listing::EndAfter { entries: 1 });
    assert_eq!(page(None).await, (vec![KEY.into()], false, None));
    early.remove();
    let unnamed = rule(Listing::NoMarker);
    let (keys, truncated, next) = page(None).await;
    assert_eq!((keys.len(), truncated, next), (3, true, None));
    unnamed.remove();
    let same = rule(Listing::SamePage);
    let first = page(None).await;
    assert_eq!(first.2.as_deref(), Some("b/index/3"));
    assert_eq!(page(first.2.as_deref()).await, first);
    same.remove();
    let back = rule(Listing::Marker { key: "a".into() });
    assert_eq!(page(None).await.2.as_deref(), Some("a"));
    back.remove();
    rule(Listing::Endless { per_page: 3 });
    let (first, truncated, next) = page(None).await;
    assert!(truncated && first.is_sorted() && first.len() == 3);
    let (second, truncated, _) = page(next.as_deref()).await;
    assert!(truncated && second[0] > first[2]);
    lab.running.faults().clear();
    assert_eq!(page(None).await.0.len(), 3);
}

#[tokio::test]
async fn locks_hold_whatever_the_rules_say() {
    let lab = lab().await;
    let id = lab.put_locked("kept", ObjectLockMode::Compliance, DAY).await;
    add(&lab, On::operation("DeleteObject"), Action::date_ahead(DAY * 400));
    assert_eq!(
        lab.delete_version("kept", &id, true).await,
        Err("AccessDenied".into())
    );
    // The gate in front of the store stays where it is: an unsigned request is refused, rules or not.
    let answer = get(&lab, KEY).send().await;
    assert_eq!(answer.status().as_u16(), 403);
    assert_eq!(
        between(&answer.text().await.unwrap(), "<Code>", "</Code>"),
        "AccessDenied"
    );
    assert_eq!(
        get(&lab, "nothing").sign().outcome().await,
        (404, "NoSuchKey".into())
    );
}
