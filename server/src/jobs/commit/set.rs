//! Whether the ledger, after a commit's change, needs exactly what the manifest lists.
//!
//! The root is of the whole set. Counting all of it takes seconds for a million objects; so what a large source's set comes to is
//! kept, and a commit counts those parts anew that its change touches. What then does not fit is counted in full before it is
//! refused, and every so often everything is counted whether or not that seems needed.

use std::collections::BTreeSet;

use repository::{
    manifest::ManifestHeader,
    object_list::{ListError, Prefix, RootBuilder, SetSum, sort_key},
};
use shared::object::{ObjectHash, ObjectKind, ObjectRef};

use super::{failure::Failure, state::Commit};
use crate::{
    db::{self, TenantTx, needed::Needed},
    jobs::error::JobError,
};

/// Smaller sets are counted in full, within a few hundredths of a second.
const KEPT_FROM: u64 = 20_000;
/// A change that touches more parts of the 4,096 is counted in full: that is then hardly slower.
const TOUCHED_MAX: usize = 800;
/// Every so many snapshots everything is counted.
const AFRESH_EVERY: u64 = 32;

/// The parts of a set that a change touches.
#[derive(Debug, Default)]
pub(super) struct Touched(BTreeSet<Prefix>);

impl Touched {
    pub(super) fn by(&mut self, hashes: &[ObjectHash]) {
        self.0.extend(hashes.iter().map(Prefix::of));
    }
}

impl Commit<'_> {
    /// Refuses the manifest unless it lists what snapshot `seq` needs by the ledger: the one before plus what was added minus
    /// what was dropped. That the manifest's list leads there is the agent's affair as much as what is in its packs; but a
    /// list that cannot is refused while that costs nothing.
    pub(super) async fn must_match(
        &self,
        tx: &TenantTx,
        header: &ManifestHeader,
        seq: u64,
        touched: &Touched,
    ) -> Result<(), Failure> {
        let kept = db::set_sums::find(tx, self.source.id, seq - 1).await?;
        let usable = touched.0.len() <= TOUCHED_MAX && !seq.is_multiple_of(AFRESH_EVERY);
        if let Some(mut sum) = kept.filter(|_| usable) {
            for prefix in &touched.0 {
                self.count(tx, seq, *prefix, &mut sum, None).await?;
            }
            let root = self.root(tx, seq, &sum).await?;
            if self.fits(tx, header, seq, &sum, root).await? {
                return self.keep(tx, seq, &sum).await;
            }
            tracing::warn!(source = %self.source.id, seq, "what was kept of the ledger does not fit; counting all of it");
        }
        let mut sum = SetSum::default();
        let mut root = RootBuilder::default();
        self.count(tx, seq, Prefix::ALL, &mut sum, Some(&mut root))
            .await?;
        if self.fits(tx, header, seq, &sum, root.finish()).await? {
            return self.keep(tx, seq, &sum).await;
        }
        Err(Failure::Run(
            "Not committed: what the manifest lists is not the last snapshot plus what was added minus what was dropped."
                .into(),
        ))
    }

    async fn count(
        &self,
        tx: &TenantTx,
        seq: u64,
        prefix: Prefix,
        sum: &mut SetSum,
        mut root: Option<&mut RootBuilder>,
    ) -> Result<(), Failure> {
        let mut needed = Needed::of(self.source.id, seq, prefix);
        let mut count = sum.recount(prefix);
        loop {
            let part = needed.next(tx).await?;
            if part.is_empty() {
                break;
            }
            for object in &part {
                count.push(object).map_err(of_order)?;
                if let Some(root) = &mut root {
                    root.push(object).map_err(of_order)?;
                }
            }
        }
        count.finish();
        Ok(())
    }

    async fn root(&self, tx: &TenantTx, seq: u64, sum: &SetSum) -> Result<ObjectHash, Failure> {
        let mut leaves = Vec::new();
        for prefix in sum.leaves() {
            leaves.push((prefix, Needed::of(self.source.id, seq, prefix).next(tx).await?));
        }
        Ok(sum.root(&leaves))
    }

    async fn fits(
        &self,
        tx: &TenantTx,
        header: &ManifestHeader,
        seq: u64,
        sum: &SetSum,
        root: ObjectHash,
    ) -> Result<bool, Failure> {
        if root != header.objects_root || !sum.is_of(&header.list) {
            return Ok(false);
        }
        // There are as many pages in the set; these are they.
        let mut named: Vec<ObjectRef> = header.list.pages().copied().collect();
        named.sort_unstable_by_key(sort_key);
        let hashes: Vec<ObjectHash> = named.iter().map(|page| page.hash).collect();
        let found = db::ledger::needed_among(tx, self.source.id, seq, &hashes).await?;
        let mut found: Vec<ObjectRef> = found.into_iter().map(|row| row.object).collect();
        found.sort_unstable_by_key(sort_key);
        Ok(found == named && found.iter().all(|page| page.kind == ObjectKind::ListPage))
    }

    async fn keep(&self, tx: &TenantTx, seq: u64, sum: &SetSum) -> Result<(), Failure> {
        if sum.len() < KEPT_FROM {
            db::set_sums::forget(tx, self.source.id).await?;
        } else {
            db::set_sums::keep(tx, self.source.id, seq, sum).await?;
        }
        Ok(())
    }
}

fn of_order(error: ListError) -> Failure {
    Failure::Passing(JobError::Internal(format!("the ledger is not in order: {error}")))
}
