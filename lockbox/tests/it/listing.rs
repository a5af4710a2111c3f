//! Listings: every row once, whatever the page size.

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::EncodingType;

use crate::support::lab::{LOCKED, Lab, PLAIN, code};

const KEYS: [&str; 9] = [
    "a",
    "a/1",
    "a/2",
    "a/2/x",
    "b",
    "b/",
    "c d+e%f",
    "ü/1",
    "\u{10FFFF}/z",
];

#[tokio::test]
async fn objects_in_pages_of_any_size() {
    let lab = Lab::start().await;
    for key in KEYS {
        lab.put(PLAIN, key, b"x").await;
    }
    let mut sorted = KEYS.to_vec();
    sorted.sort_unstable();
    for size in 1..=10 {
        let pages = lab
            .s3
            .list_objects_v2()
            .bucket(PLAIN)
            .max_keys(size)
            .into_paginator();
        let pages = pages.send().collect::<Result<Vec<_>, _>>().await.unwrap();
        assert_eq!(
            pages.len(),
            sorted.len().div_ceil(usize::try_from(size).unwrap()),
            "pages of {size}"
        );
        let keys: Vec<_> = pages
            .iter()
            .flat_map(ListObjectsV2Output::contents)
            .map(|o| o.key().unwrap())
            .collect();
        assert_eq!(keys, sorted, "pages of {size}");
        let mut marker = None;
        let mut by_v1 = Vec::new();
        loop {
            let page = lab
                .s3
                .list_objects()
                .bucket(PLAIN)
                .max_keys(size)
                .set_marker(marker);
            let page = page.send().await.unwrap();
            by_v1.extend(page.contents().iter().map(|o| o.key().unwrap().to_owned()));
            marker = page.next_marker;
            if marker.is_none() {
                break;
            }
        }
        assert_eq!(by_v1, sorted, "pages of {size}");
        let folded = lab
            .s3
            .list_objects_v2()
            .bucket(PLAIN)
            .max_keys(size)
            .delimiter("/")
            .into_paginator();
        let pages = folded.send().collect::<Result<Vec<_>, _>>().await.unwrap();
        let keys: Vec<_> = pages
            .iter()
            .flat_map(ListObjectsV2Output::contents)
            .map(|o| o.key().unwrap())
            .collect();
        let prefixes: Vec<_> = pages
            .iter()
            .flat_map(ListObjectsV2Output::common_prefixes)
            .map(|p| p.prefix().unwrap())
            .collect();
        assert_eq!(keys, ["a", "b", "c d+e%f"], "pages of {size}");
        assert_eq!(prefixes, ["a/", "b/", "ü/", "\u{10FFFF}/"], "pages of {size}");
    }
    let within = lab
        .s3
        .list_objects_v2()
        .bucket(PLAIN)
        .prefix("a/")
        .start_after("a/1")
        .send()
        .await
        .unwrap();
    assert_eq!(
        within
            .contents()
            .iter()
            .map(|o| o.key().unwrap())
            .collect::<Vec<_>>(),
        ["a/2", "a/2/x"]
    );
    assert_eq!(within.key_count(), Some(2));
    let encoded = lab
        .s3
        .list_objects_v2()
        .bucket(PLAIN)
        .prefix("c")
        .encoding_type(EncodingType::Url);
    assert_eq!(
        encoded.send().await.unwrap().contents()[0].key(),
        Some("c%20d%2Be%25f")
    );
    let none = lab
        .s3
        .list_objects_v2()
        .bucket(PLAIN)
        .max_keys(0)
        .send()
        .await
        .unwrap();
    assert_eq!((none.is_truncated(), none.contents().len()), (Some(false), 0));
    let error = lab
        .s3
        .list_objects_v2()
        .bucket(PLAIN)
        .max_keys(-1)
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&error), "InvalidArgument");
}

/// Rows as `key version-id`, `*` for the newest, `†` for markers.
async fn versions(lab: &Lab, size: i32, prefix: &str, delimiter: Option<&str>) -> (Vec<String>, Vec<String>) {
    let (mut rows, mut prefixes) = (Vec::new(), Vec::new());
    let (mut key, mut id) = (None, None);
    loop {
        let page = lab
            .s3
            .list_object_versions()
            .bucket(LOCKED)
            .max_keys(size)
            .prefix(prefix);
        let page = page.set_delimiter(delimiter.map(Into::into));
        let page = page
            .set_key_marker(key)
            .set_version_id_marker(id)
            .send()
            .await
            .unwrap();
        let star = |latest: Option<bool>| if latest == Some(true) { "*" } else { "" };
        let count = page.versions().len() + page.delete_markers().len() + page.common_prefixes().len();
        assert!(count <= usize::try_from(size).unwrap());
        let mut here: Vec<String> = Vec::new();
        here.extend(page.versions().iter().map(|v| {
            format!(
                "{} {}{}",
                v.key().unwrap(),
                v.version_id().unwrap(),
                star(v.is_latest())
            )
        }));
        here.extend(page.delete_markers().iter().map(|m| {
            format!(
                "{} {}†{}",
                m.key().unwrap(),
                m.version_id().unwrap(),
                star(m.is_latest())
            )
        }));
        rows.extend(here);
        prefixes.extend(
            page.common_prefixes()
                .iter()
                .map(|p| p.prefix().unwrap().to_owned()),
        );
        (key, id) = (page.next_key_marker.clone(), page.next_version_id_marker.clone());
        assert_eq!(page.is_truncated(), Some(key.is_some()));
        if key.is_none() {
            rows.sort_unstable();
            return (rows, prefixes);
        }
    }
}

#[tokio::test]
async fn versions_in_pages_of_any_size() {
    let lab = Lab::start().await;
    let mut expected = Vec::new();
    for key in ["a/1", "a/2", "b", "c/1"] {
        let mut ids = Vec::new();
        for n in 0..4 {
            ids.push(if n == 2 {
                let marker = lab
                    .s3
                    .delete_object()
                    .bucket(LOCKED)
                    .key(key)
                    .send()
                    .await
                    .unwrap();
                format!("{}†", marker.version_id.unwrap())
            } else {
                lab.put(LOCKED, key, b"x").await.unwrap()
            });
        }
        let newest = ids.pop().unwrap();
        expected.push(format!("{key} {newest}*"));
        expected.extend(ids.into_iter().map(|id| format!("{key} {id}")));
    }
    expected.sort_unstable();
    for size in 1..=17 {
        assert_eq!(
            versions(&lab, size, "", None).await.0,
            expected,
            "pages of {size}"
        );
        let (rows, prefixes) = versions(&lab, size, "", Some("/")).await;
        assert_eq!(prefixes, ["a/", "c/"], "pages of {size}");
        assert_eq!(rows.len(), 4, "pages of {size}");
        let (rows, _) = versions(&lab, size, "a/", None).await;
        assert_eq!(rows.len(), 8, "pages of {size}");
    }
    let alone = lab
        .s3
        .list_object_versions()
        .bucket(LOCKED)
        .version_id_marker("0".repeat(32));
    assert_eq!(code(&alone.send().await.unwrap_err()), "InvalidArgument");
}

#[tokio::test]
async fn a_page_resumes_behind_a_version_that_is_gone() {
    let lab = Lab::start().await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(lab.put(LOCKED, "k", b"x").await.unwrap());
    }
    let page = lab
        .s3
        .list_object_versions()
        .bucket(LOCKED)
        .max_keys(2)
        .send()
        .await
        .unwrap();
    let marker = page.next_version_id_marker.unwrap();
    assert_eq!(marker, ids[2]);
    for id in &ids[2..] {
        lab.delete_version("k", id, false).await.unwrap();
    }
    let rest = lab
        .s3
        .list_object_versions()
        .bucket(LOCKED)
        .key_marker("k")
        .version_id_marker(marker);
    let rest = rest.send().await.unwrap();
    let rows: Vec<_> = rest
        .versions()
        .iter()
        .map(|v| (v.version_id().unwrap(), v.is_latest().unwrap()))
        .collect();
    assert_eq!(rows, [(ids[1].as_str(), true), (ids[0].as_str(), false)]);
}
