//! Objects that were not found when they were last asked for: asked again until they are seen, or believed to be gone.

use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use shared::{object::ObjectHash, words::counted};

use super::state::Sweep;
use crate::{
    db::{self, TenantTx, ledger::LedgerObject},
    jobs::error::JobError,
    presence::{self, Presence, Unseen},
};

/// When a source is swept again while something is suspected.
pub(super) const DOUBT_INTERVAL: SignedDuration = SignedDuration::from_secs(60);
/// Objects that are asked for together.
const PAGE: u64 = 1_000;
/// Requests side by side.
const PARALLEL: usize = 16;

impl Sweep<'_> {
    /// Asks for every object in doubt, also for those that count as gone: a later sighting clears that.
    pub(super) async fn ask_for_doubtful(&mut self) -> Result<(), JobError> {
        let mut after = None;
        loop {
            let tx = self.app.db.tenant(self.scope).await?;
            let rows = db::absence::doubtful(&tx, self.source.id, after, PAGE).await?;
            drop(tx);
            let Some(last) = rows.last() else {
                return Ok(());
            };
            after = Some(last.object.hash);
            let (seen, absent) = self.ask(rows).await;
            let now = self.app.clock.now();
            let tx = self.app.db.of_source(self.scope, self.source.id).await?;
            db::absence::seen(&tx, self.source.id, &seen).await?;
            self.note_absent(&tx, &absent, now).await?;
            tx.commit().await?;
        }
    }

    /// An object that cannot be asked for stays as it was, and keeps nothing else from being swept.
    async fn ask(&mut self, rows: Vec<LedgerObject>) -> (Vec<ObjectHash>, Vec<(ObjectHash, Unseen)>) {
        let asked = rows.into_iter().filter_map(|row| {
            let version = row.lock.clone()?.version_id;
            let (store, set, source) = (self.store.clone(), &self.set, self.source.id);
            Some(async move {
                let key = row.key(&set.prefix, source);
                let presence = presence::ask(store.as_ref(), &set.bucket, &key, &version).await;
                (row.object.hash, key, presence)
            })
        });
        let asked: Vec<_> = asked.collect();
        let asked: Vec<_> = stream::iter(asked).buffer_unordered(PARALLEL).collect().await;
        let (mut seen, mut absent) = (Vec::new(), Vec::new());
        for (hash, key, presence) in asked {
            match presence {
                Ok(Presence::Shown(_)) => seen.push(hash),
                Ok(Presence::Unseen(how)) => absent.push((hash, how)),
                Err(error) => {
                    self.failed += 1;
                    self.refuse_object(&key, format!("whether it is there could not be asked: {error}."));
                }
            }
        }
        (seen, absent)
    }

    /// Notes what was not found, and tells of what counts as gone by that.
    pub(super) async fn note_absent(
        &mut self,
        tx: &TenantTx,
        absent: &[(ObjectHash, Unseen)],
        now: Timestamp,
    ) -> Result<(), JobError> {
        let noted = db::absence::note(tx, self.source.id, absent, now).await?;
        self.suspected += noted.suspected;
        if noted.gone > 0 {
            let objects = counted(noted.gone, "object is", "objects are");
            self.refuse(format!(
                "{objects} gone from the bucket. The data enters the next backup again."
            ));
        }
        Ok(())
    }
}
