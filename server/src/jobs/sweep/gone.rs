//! Whether a version that S3 does not know is gone. `NoSuchVersion` is what it says of a deleted version, and also of an id
//! that it never gave: had the ledger a wrong id, the object would stay in the bucket for ever and nobody would know.

use std::collections::HashSet;

use shared::object::ObjectHash;

use super::state::Sweep;
use crate::{
    db,
    jobs::error::JobError,
    s3::{VersionName, versions_of_key},
};

impl Sweep<'_> {
    /// Whether a listing of its key confirms that a version which S3 did not know is gone: it is not listed, and no version
    /// of the object's size is listed that the ledger does not know. Otherwise the report tells, and the row stays.
    pub(super) async fn is_gone(&mut self, version: &VersionName, size_bytes: u64) -> Result<bool, JobError> {
        let key = &version.key;
        let listed = match versions_of_key(self.store.as_ref(), &self.set.bucket, key).await {
            Ok(listed) => listed,
            Err(error) => {
                self.failed += 1;
                let why =
                    format!("S3 knows no such version, and could not be asked which there are: {error}.");
                self.refuse_object(key, why);
                return Ok(false);
            }
        };
        if listed.iter().any(|one| one.version_id == version.version_id) {
            self.failed += 1;
            let why = "not deleted: S3 says that it does not know the version, and lists it.";
            self.refuse_object(key, why.to_owned());
            return Ok(false);
        }
        let known = self.known_versions(key).await?;
        let strange = listed
            .iter()
            .filter(|one| one.size_bytes == size_bytes && !known.contains(&one.version_id))
            .count();
        if strange > 0 {
            let id = &version.version_id;
            self.refuse(format!(
                "{key}: S3 knows no version {id}, and has {strange} of the same size that the ledger does not know: the \
                 ledger may have a wrong id. Nothing was deleted; compare with “rebuild-ledger”."
            ));
        }
        Ok(strange == 0)
    }

    /// The versions under a key that the ledger has.
    async fn known_versions(&self, key: &str) -> Result<HashSet<String>, JobError> {
        let tx = self.app.db.tenant(self.scope).await?;
        let spares = db::groom::spares(&tx, self.source.id, None, None).await?;
        let hash = key
            .rsplit('/')
            .next()
            .and_then(|name| name.parse::<ObjectHash>().ok());
        let rows = db::ledger::find(&tx, self.source.id, hash.as_slice()).await?;
        let spares = spares.into_iter().filter(|spare| spare.key == key);
        let rows = rows.into_iter().filter_map(|row| row.lock);
        Ok(spares
            .map(|spare| spare.version_id)
            .chain(rows.map(|lock| lock.version_id))
            .collect())
    }
}
