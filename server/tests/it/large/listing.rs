//! Listings of packs that are in no bucket, made from what the ledger says: a million objects are listed and none is stored.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    ops::Bound,
    sync::{Arc, Mutex},
};

use lockbox::faults::{Action, Answer, Faults, On, Rule, Seen};

/// Entries of a page, as Amazon S3 has them.
const PAGE: usize = 1_000;

/// Version and size by key.
type Versions = BTreeMap<String, (String, u64)>;

/// What is listed. Clones are the same.
#[derive(Clone, Default)]
pub struct ListedPacks {
    versions: Arc<Mutex<Versions>>,
}

impl ListedPacks {
    /// From now on listings of packs are answered with what was added here.
    pub fn answer_for(faults: &Faults) -> Self {
        let packs = Self::default();
        let answering = packs.clone();
        let on = On::operation("ListObjectVersions").when(|seen| {
            let prefix = seen.key.as_deref().unwrap_or_default();
            prefix.contains("/packs/")
        });
        faults.add(Rule::new(
            on,
            Action::rewrite_for(move |seen, answer| answering.page(seen, answer)),
        ));
        packs
    }

    pub fn add(&self, key: String, version: String, size_bytes: u64) {
        self.versions.lock().unwrap().insert(key, (version, size_bytes));
    }

    pub fn lose(&self, key: &str) {
        self.versions.lock().unwrap().remove(key);
    }

    fn page(&self, seen: &Seen, answer: Answer) -> Answer {
        let versions = self.versions.lock().unwrap();
        let prefix = seen.key.as_deref().unwrap_or_default();
        let marker = seen.parameter("key-marker").unwrap_or_default();
        let behind = Bound::Excluded(marker.max(prefix));
        let mut rest = versions
            .range::<str, _>((behind, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix));
        let mut body = "<ListVersionsResult>".to_owned();
        let mut last = None;
        for (key, (version, size)) in rest.by_ref().take(PAGE) {
            let _ = write!(
                body,
                "<Version><Key>{key}</Key><VersionId>{version}</VersionId><Size>{size}</Size></Version>"
            );
            last = Some((key, version));
        }
        match last.filter(|_| rest.next().is_some()) {
            Some((key, version)) => {
                let _ = write!(
                    body,
                    "<IsTruncated>true</IsTruncated><NextKeyMarker>{key}</NextKeyMarker>\
                     <NextVersionIdMarker>{version}</NextVersionIdMarker>"
                );
            }
            None => body.push_str("<IsTruncated>false</IsTruncated>"),
        }
        body.push_str("</ListVersionsResult>");
        // The store itself refuses to go on behind a version that it never gave.
        Answer {
            status: http::StatusCode::OK,
            body: body.into(),
            ..answer
        }
    }
}
