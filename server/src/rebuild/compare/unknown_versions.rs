//! What the bucket lists and nobody knows.

use std::collections::{BTreeSet, HashSet};

use super::{Kind, Side};

impl Side<'_> {
    /// What is listed and nobody knows.
    pub(super) fn unknown_versions(&mut self) {
        let (found, ledger) = (self.found, self.ledger);
        let mut known: HashSet<(String, &str)> = HashSet::new();
        // Signed for by a run that is under way or broke off, or about to go: any version may be theirs.
        let mut open: BTreeSet<String> = BTreeSet::new();
        for (hash, span) in &found.spans {
            if let Some(version) = self.versions.get(hash).and_then(Option::as_ref) {
                known.insert((span.key(self.prefix, found.id), version.version_id.as_str()));
            }
        }
        for row in ledger.rows.values() {
            let key = row.key(self.prefix, found.id);
            match &row.lock {
                Some(lock) => drop(known.insert((key, lock.version_id.as_str()))),
                None => drop(open.insert(key)),
            }
        }
        known.extend(
            ledger
                .spares
                .iter()
                .map(|spare| (spare.key.clone(), spare.version_id.as_str())),
        );
        let mut unknown = Vec::new();
        for (key, versions) in &found.listing.keys {
            if open.contains(key) {
                continue;
            }
            for version in versions {
                if !known.contains(&(key.clone(), version.id.as_str())) {
                    let bucket = format!("version {} of {} bytes", version.id, version.size_bytes);
                    unknown.push((key.clone(), bucket));
                }
            }
        }
        for (key, bucket) in unknown {
            self.tell(Kind::UnknownVersion, key, None, Some(bucket));
        }
        for (key, version) in &found.listing.markers {
            self.tell(
                Kind::DeleteMarker,
                key.clone(),
                None,
                Some(format!("version {version}")),
            );
        }
    }
}
