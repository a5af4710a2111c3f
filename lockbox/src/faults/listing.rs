//! Listings that are wrong.

use std::fmt::Write as _;

use bytes::Bytes;

use super::Entry;
use super::action::Listing;
use super::request::{Seen, decode, glob};

/// The elements that stand for one entry each.
const ENTRIES: [&str; 3] = ["Version", "DeleteMarker", "Contents"];
/// The elements that say where the next page begins.
const NEXT: [&str; 4] = [
    "NextKeyMarker",
    "NextVersionIdMarker",
    "NextContinuationToken",
    "NextMarker",
];

/// Changes a page that the store answered.
pub(super) fn change(listing: &Listing, seen: &Seen, entry: &Entry, page: &Bytes) -> Bytes {
    let page = String::from_utf8_lossy(page).into_owned();
    let changed = match listing {
        Listing::Without { keys } => filtered(&page, |_, key| !glob(keys, key)),
        Listing::EndAfter { entries } => {
            truncated(&filtered(&page, |place, _| place < *entries), false, seen, None)
        }
        Listing::NoMarker => truncated(&page, true, seen, None),
        Listing::SamePage => {
            let last = last_key(&page);
            let page = truncated(&page, true, seen, Some(&last));
            return entry.first_page(page.into());
        }
        Listing::Marker { key } => truncated(&page, true, seen, Some(key)),
        Listing::Endless { .. } => page,
    };
    changed.into()
}

/// A page of invented entries, the first of which follows on the last one of the page before.
pub(super) fn endless(seen: &Seen, per_page: usize) -> String {
    let prefix = seen.parameter("prefix").unwrap_or_default();
    let marker = ["key-marker", "continuation-token", "start-after", "marker"];
    let marker = marker.iter().find_map(|name| seen.parameter(name));
    let first = marker.and_then(|marker| marker.rsplit('~').next()?.parse::<u64>().ok());
    let first = first.map_or(0, |last| last + 1);
    let (root, tag) = match seen.operation {
        "ListObjectVersions" => ("ListVersionsResult", "Version"),
        _ => ("ListBucketResult", "Contents"),
    };
    let mut rows = String::new();
    let mut last = String::new();
    for number in first..first + per_page as u64 {
        last = format!("{prefix}~{number:012}");
        let version = match tag {
            "Version" => format!("<VersionId>{number:032x}</VersionId><IsLatest>true</IsLatest>"),
            _ => String::new(),
        };
        // A String takes everything.
        let _ = write!(
            rows,
            "<{tag}><Key>{last}</Key>{version}<LastModified>2026-01-01T00:00:00.000Z</LastModified>\
             <ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>1</Size>\
             <StorageClass>STANDARD</StorageClass></{tag}>"
        );
    }
    let page = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <Prefix>{prefix}</Prefix>{rows}</{root}>"
    );
    truncated(&page, true, seen, Some(&last))
}

/// Says whether another page follows, and after which key.
fn truncated(page: &str, more: bool, seen: &Seen, next: Option<&str>) -> String {
    let mut page = without(page, "IsTruncated");
    for tag in NEXT {
        page = without(&page, tag);
    }
    let mut said = format!("<IsTruncated>{more}</IsTruncated>");
    if let Some(next) = next {
        let tags: &[&str] = match seen.operation {
            "ListObjectVersions" => &["NextKeyMarker", "NextVersionIdMarker"],
            "ListObjectsV2" => &["NextContinuationToken"],
            _ => &["NextMarker"],
        };
        for tag in tags {
            let value = if *tag == "NextVersionIdMarker" {
                "null"
            } else {
                next
            };
            // A String takes everything.
            let _ = write!(said, "<{tag}>{value}</{tag}>");
        }
    }
    let end = page.rfind("</").unwrap_or(page.len());
    page.insert_str(end, &said);
    page
}

/// Keeps the entries that `keep` says yes to, of their place on the page and their key.
fn filtered(page: &str, keep: impl Fn(usize, &str) -> bool) -> String {
    let mut kept = String::with_capacity(page.len());
    let mut rest = page;
    let mut place = 0;
    while let Some((start, end)) = next_entry(rest) {
        kept.push_str(&rest[..start]);
        let entry = &rest[start..end];
        if keep(place, &key(entry)) {
            kept.push_str(entry);
        }
        place += 1;
        rest = &rest[end..];
    }
    kept.push_str(rest);
    kept
}

fn last_key(page: &str) -> String {
    let mut last = String::new();
    let mut rest = page;
    while let Some((start, end)) = next_entry(rest) {
        last = last.max(key(&rest[start..end]));
        rest = &rest[end..];
    }
    last
}

/// Where the next entry begins and ends.
fn next_entry(text: &str) -> Option<(usize, usize)> {
    let found = ENTRIES.iter().filter_map(|tag| {
        let start = text.find(&format!("<{tag}>"))?;
        let close = format!("</{tag}>");
        let end = start + text[start..].find(&close)? + close.len();
        Some((start, end))
    });
    found.min()
}

/// The key of an entry, without the escapes of XML and of `encoding-type=url`.
fn key(entry: &str) -> String {
    let inner = entry
        .split_once("<Key>")
        .and_then(|(_, rest)| rest.split_once("</Key>"));
    let key = inner.map_or("", |(key, _)| key);
    let plain = key
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"");
    decode(&plain.replace("&amp;", "&"), false)
}

fn without(page: &str, tag: &str) -> String {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    match page
        .split_once(&open)
        .and_then(|(head, rest)| Some((head, rest.split_once(&close)?.1)))
    {
        Some((head, tail)) => format!("{head}{tail}"),
        None => page.replace(&format!("<{tag}/>"), ""),
    }
}
