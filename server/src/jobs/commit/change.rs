//! What a run commits, read from the database page by page: however large the change, a commit holds one page of it.

use shared::{
    api::{
        agent::CommitRequest,
        commit::{CommitPage, Section},
    },
    object::ObjectHash,
};

use super::{failure::Failure, state::Commit};
use crate::db::{self, TenantTx};

impl Commit<'_> {
    /// What the agent asked for. A run that was committing when the server was brought up to date from a version that kept
    /// this elsewhere has none.
    pub(super) async fn request(&self) -> Result<CommitRequest, Failure> {
        let tx = self.app.db.tenant(self.scope).await?;
        let request = db::commit_pages::request(&tx, self.run.id).await?;
        request.ok_or_else(|| {
            Failure::Run(
                "Not committed: the server was brought up to date in the middle of the commit. The next run takes over \
                 what was sent."
                    .into(),
            )
        })
    }

    /// One page of the change.
    pub(super) async fn page(&self, tx: &TenantTx, number: u32) -> Result<CommitPage, Failure> {
        let page = db::commit_pages::find(tx, self.run.id, number).await?;
        page.ok_or_else(|| Failure::Run(format!("Not committed: page {number} of the change is gone.")))
    }

    /// Step 1: what the agent sent is in the bucket, whole and locked.
    pub(super) async fn confirm_added(&mut self, request: &CommitRequest) -> Result<(), Failure> {
        self.run.confirmed = 0;
        for number in 0..request.change.pages {
            let tx = self.app.db.tenant(self.scope).await?;
            let page = self.page(&tx, number).await?;
            drop(tx);
            // What was added comes first.
            let CommitPage::Added(objects) = page else { break };
            self.confirm_objects(&objects).await?;
        }
        self.confirm_objects(&[request.manifest]).await?;
        self.absent_decides()
    }
}

/// Tells which objects of an ascending list are in one section of the change. Asked with one list after the other, each beginning
/// where the one before ended, it reads each page once.
pub(super) struct Members {
    section: Section,
    next: u32,
    pages: u32,
    /// Of the page in hand.
    hashes: Vec<ObjectHash>,
}

impl Members {
    const fn of(request: &CommitRequest, section: Section) -> Self {
        Self {
            section,
            next: 0,
            pages: request.change.pages,
            hashes: Vec::new(),
        }
    }

    /// What the run adds.
    pub(super) const fn added(request: &CommitRequest) -> Self {
        Self::of(request, Section::Added)
    }

    /// What the run drops.
    pub(super) const fn dropped(request: &CommitRequest) -> Self {
        Self::of(request, Section::Dropped)
    }

    pub(super) async fn contains(
        &mut self,
        commit: &Commit<'_>,
        tx: &TenantTx,
        hash: &ObjectHash,
    ) -> Result<bool, Failure> {
        while self.hashes.last().is_none_or(|last| last < hash) && self.next < self.pages {
            let page = commit.page(tx, self.next).await?;
            self.next += 1;
            if page.section() == self.section {
                self.hashes = page.hashes();
            }
        }
        Ok(self.hashes.binary_search(hash).is_ok())
    }
}
