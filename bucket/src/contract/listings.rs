//! Listings of versions.

use jiff::SignedDuration;
use shared::retention::LockMode;

use super::{
    fixture::{Breach, Fixture, must, must_refuse},
    locks::LOCKED,
};
use crate::{
    list::ListRequest,
    version::{Listed, VersionName, VersionPage},
    walk::{Bounds, Walk},
};

/// Versions of one key: more than a page.
const OF_ONE_KEY: usize = 5;
const PAGE: u16 = 3;
/// What a store's clock may be from ours.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);
/// Keys that a store or a client might write otherwise. XML 1.0 has no control characters, so there are none.
const KEYS: [&str; 12] = [
    "key/a b",
    "key/a+b",
    "key/a%20b",
    "key/a?b=c&d#e",
    "key/a//b",
    "key/a<b>\"c'",
    "key/a:b;c,d@e",
    "key/(a)[b]{c}!*~$^|`",
    "key/a=b\\c",
    "key/ä ö €",
    "key/日本 🗄",
    "key/.hidden/..x",
];

pub(super) async fn pages_ascend(f: &Fixture) -> Result<(), Breach> {
    let lock = f.lock(LockMode::Governance);
    let mut expected = Vec::new();
    for key in ["pages/a", "pages/b", "pages/c", "pages/d"] {
        let count = if key == "pages/b" { OF_ONE_KEY } else { 1 };
        let mut versions = Vec::new();
        for nth in 0..count {
            let version_id = f.put(key, &[b'x'; 1].repeat(nth + 1), lock).await?.version_id;
            versions.push(VersionName {
                key: key.to_owned(),
                version_id,
            });
        }
        versions.reverse();
        expected.extend(versions);
    }
    // A neighbour that only begins alike.
    f.put("pages", b"x", lock).await?;
    let pages = walk(f, "pages/", None).await?;
    must(pages.iter().all(|page| page.entries.len() <= PAGE.into()), || {
        format!("a page has more than {PAGE} entries")
    })?;
    let listed: Vec<VersionName> = pages.iter().flat_map(|page| &page.entries).map(name).collect();
    must(listed == expected, || {
        format!("{listed:?} are listed instead of {expected:?}")
    })
}

pub(super) async fn keys_come_back_as_they_were(f: &Fixture) -> Result<(), Breach> {
    let lock = f.lock(LockMode::Governance);
    let mut expected = Vec::new();
    for key in KEYS {
        let version_id = f.put(key, key.as_bytes(), lock).await?.version_id;
        must(f.get(key, &version_id).await? == key.as_bytes(), || {
            format!("`{key}` has other content")
        })?;
        let name = VersionName {
            key: key.to_owned(),
            version_id,
        };
        // It is locked: what matters is that the row is found again.
        let told = f
            .store
            .delete_versions(&f.bucket, std::slice::from_ref(&name))
            .await
            .remove(0);
        must_refuse(&format!("deleting `{key}`"), told, LOCKED)?;
        let versions = f.versions(key).await?;
        must(versions == [name.version_id.clone()], || {
            format!("`{key}` has the versions {versions:?}")
        })?;
        expected.push(name);
    }
    // By bytes, which is UTF-8's order.
    expected.sort();
    let pages = walk(f, "key/", None).await?;
    let listed: Vec<VersionName> = pages.iter().flat_map(|page| &page.entries).map(name).collect();
    must(listed == expected, || {
        format!("{listed:?} are listed instead of {expected:?}")
    })
}

pub(super) async fn folders_are_told(f: &Fixture) -> Result<(), Breach> {
    let lock = f.lock(LockMode::Governance);
    for key in [
        "folders/a/1",
        "folders/a/2",
        "folders/b c/1/2",
        "folders/plain",
        "folders/z/1",
        "folders/zz/1",
    ] {
        f.put(key, b"x", lock).await?;
    }
    let pages = walk(f, "folders/", Some("/")).await?;
    let mut folders: Vec<&str> = pages
        .iter()
        .flat_map(|page| &page.folders)
        .map(String::as_str)
        .collect();
    folders.dedup();
    must(
        folders == ["folders/a/", "folders/b c/", "folders/z/", "folders/zz/"],
        || format!("the folders are {folders:?}"),
    )?;
    let keys: Vec<&str> = pages
        .iter()
        .flat_map(|page| &page.entries)
        .map(Listed::key)
        .collect();
    must(keys == ["folders/plain"], || {
        format!("{keys:?} are listed beside the folders")
    })
}

pub(super) async fn listing_tells_time_and_size(f: &Fixture) -> Result<(), Breach> {
    f.put("told", b"content", f.lock(LockMode::Governance)).await?;
    let pages = walk(f, "told", None).await?;
    let entries: Vec<&Listed> = pages.iter().flat_map(|page| &page.entries).collect();
    let [
        Listed::Version {
            size_bytes, modified, ..
        },
    ] = entries[..]
    else {
        return Err(Breach(format!("{entries:?} are listed")));
    };
    must(*size_bytes == 7, || format!("{size_bytes} bytes instead of 7"))?;
    let apart = modified.map(|at| at.duration_since(f.now).abs());
    must(apart.is_some_and(|apart| apart < CLOCK_TOLERANCE), || {
        format!("modified {modified:?}")
    })
}

fn name(listed: &Listed) -> VersionName {
    VersionName {
        key: listed.key().to_owned(),
        version_id: listed.version_id().to_owned(),
    }
}

/// Every page below a prefix, of a few entries each.
async fn walk(f: &Fixture, prefix: &str, delimiter: Option<&str>) -> Result<Vec<VersionPage>, Breach> {
    let bounds = Bounds {
        entries: 100,
        pages: 50,
        ..Bounds::expecting(0)
    };
    let mut walk = Walk::below(prefix, bounds);
    let mut pages = Vec::new();
    loop {
        let request = ListRequest {
            bucket: &f.bucket,
            prefix,
            delimiter,
            from: walk.from(),
            page_entries: PAGE,
        };
        let page = f.client.list(&request).await?;
        let page = walk.take(page)?;
        let next = page.next.clone();
        pages.push(page);
        match next {
            Some(next) => walk.go_on(next)?,
            None => return Ok(pages),
        }
    }
}
