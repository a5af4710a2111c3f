//! The end of a run: its change goes to the server in pages, then the commit, then the wait until every lock is confirmed.
//!
//! Before the first page is sent, all of it is written to the file `commit` of the source's state folder. When the agent ends
//! in between, the next one goes on after the pages that the server has, as long as the run is open: the files need not be
//! read again.
//!
//! ```text
//! "HFCMT1" | hash of the rest (32) | for the head (JSON), then for each page: length, u32 big-endian | bytes
//! ```

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use shared::{
    api::{
        agent::{CommitRequest, RunState, RunStatus, SnapshotSummary},
        commit::{CommitPage, PAGES_PER_RUN, PageTotals, pages},
    },
    ids::RunId,
    object::ObjectHash,
};

use super::{engine::Prepared, error::BackupError};
use crate::{client::Client, clock, progress::RunCounters, state};

const MARK: &[u8; 6] = b"HFCMT1";
/// A head is some 600 bytes.
const MAX_PART: usize = 1 << 20;

/// What a run commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    run_id: RunId,
    request: CommitRequest,
    pages: Vec<CommitPage>,
}

#[derive(Serialize, Deserialize)]
struct CommitHeader {
    run_id: RunId,
    request: CommitRequest,
}

impl Commit {
    /// Of a run that has sent everything.
    ///
    /// # Errors
    /// When the change is larger than any server takes.
    pub fn new(run_id: RunId, prepared: &Prepared) -> Result<Self, BackupError> {
        let liveness = prepared.liveness.clone().unwrap_or_default();
        let pages = pages(prepared.added.clone(), prepared.dropped.clone(), liveness);
        if pages.len() > PAGES_PER_RUN as usize {
            return Err(BackupError::TooMuch);
        }
        let request = CommitRequest {
            parent_seq: prepared.parent_seq,
            manifest: prepared.manifest,
            totals: prepared.totals,
            paths: prepared.paths.clone(),
            change: PageTotals::of_pages(&pages, repository::hash),
            counted_liveness: prepared.liveness.is_some(),
            report: Some(prepared.report.clone()),
        };
        Ok(Self {
            run_id,
            request,
            pages,
        })
    }

    /// Writes it, whole or not at all. Where that cannot be done, the run goes on without: an interruption then costs more.
    pub fn keep(&self, path: &Path) {
        if let Err(error) = state::write_private(path, &self.to_bytes()) {
            tracing::warn!(%error, "an interruption of the commit will have the files read again");
        }
    }

    /// What [`Self::keep`] wrote; `None` when there is nothing, or nothing that reads.
    #[must_use]
    pub fn kept(path: &Path) -> Option<Self> {
        match fs::read(path) {
            Ok(bytes) => {
                let commit = Self::from_bytes(&bytes);
                if commit.is_none() {
                    tracing::warn!(path = %path.display(), "an interrupted commit does not read and is passed over");
                    forget(path);
                }
                commit
            }
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "an interrupted commit cannot be read");
                None
            }
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let head = CommitHeader {
            run_id: self.run_id,
            request: self.request.clone(),
        };
        let head = serde_json::to_vec(&head).unwrap_or_default();
        let mut body = Vec::new();
        for part in std::iter::once(head).chain(self.pages.iter().map(CommitPage::to_bytes)) {
            body.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            body.extend_from_slice(&part);
        }
        [MARK, repository::hash(&body).as_bytes().as_slice(), &body].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (hash, mut body) = bytes.strip_prefix(MARK)?.split_first_chunk::<32>()?;
        if repository::hash(body) != ObjectHash::from_bytes(*hash) {
            return None;
        }
        let mut parts = Vec::new();
        while !body.is_empty() {
            let (length, rest) = body.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (part, rest) = rest.split_at_checked(length).filter(|_| length <= MAX_PART)?;
            parts.push(part);
            body = rest;
        }
        let (head, pages) = parts.split_first()?;
        let CommitHeader { run_id, request } = serde_json::from_slice(head).ok()?;
        let pages: Vec<CommitPage> = pages
            .iter()
            .map(|page| CommitPage::from_bytes(page).ok())
            .collect::<Option<_>>()?;
        let whole = request.change == PageTotals::of_pages(&pages, repository::hash);
        whole.then_some(Self {
            run_id,
            request,
            pages,
        })
    }

    /// Sends the pages that the server does not have, then the commit, and waits until the snapshot is complete.
    ///
    /// # Errors
    /// When the server refuses, the run fails, or the agent is told to stop.
    pub async fn send(
        &self,
        client: &Client,
        there: u32,
        counters: &RunCounters,
    ) -> Result<SnapshotSummary, BackupError> {
        for (number, page) in (0_u32..).zip(&self.pages).skip(there as usize) {
            if counters.stopped() {
                return Err(BackupError::Interrupted);
            }
            client.commit_page(self.run_id, number, page).await?;
        }
        let status = client.commit(self.run_id, &self.request).await?;
        self.ended(client, status, counters).await
    }

    async fn ended(
        &self,
        client: &Client,
        mut status: RunStatus,
        counters: &RunCounters,
    ) -> Result<SnapshotSummary, BackupError> {
        // A small backup is confirmed within a few hundredths of a second.
        let mut pause = Duration::from_millis(20);
        let began = clock::monotonic();
        loop {
            match (status.state, status.snapshot, status.error) {
                (RunState::Succeeded, Some(snapshot), _) => return Ok(snapshot),
                (RunState::Succeeded, None, _) => {
                    return Err(BackupError::Failed("the server names no snapshot".to_owned()));
                }
                (RunState::Failed, snapshot, error) => {
                    let reason = error.unwrap_or_else(|| "no reason given".to_owned());
                    return Err(match snapshot {
                        Some(broken) => BackupError::Broken {
                            seq: broken.seq,
                            reason,
                        },
                        None => BackupError::Failed(reason),
                    });
                }
                _ => {}
            }
            if counters.stopped() {
                // The server finishes without us, and the next run reloads the index.
                return Err(BackupError::Unconfirmed {
                    reason: "the agent was stopped".to_owned(),
                });
            }
            tokio::time::sleep(pause).await;
            pause = pause.mul_f32(1.5).min(Duration::from_secs(2));
            tracing::debug!(waited = ?began.elapsed(), "waiting for the server to confirm the locks");
            status = client
                .run(self.run_id)
                .await
                .map_err(|error| BackupError::Unconfirmed {
                    reason: error.to_string(),
                })?;
        }
    }

    /// Goes on where the agent before this one was interrupted. `None` when the run is over without a snapshot.
    async fn resume(
        &self,
        client: &Client,
        counters: &RunCounters,
    ) -> Result<Option<SnapshotSummary>, BackupError> {
        let status = client.run(self.run_id).await?;
        match status.state {
            RunState::Failed | RunState::Queued => Ok(None),
            RunState::Running => {
                let stored = client.commit_pages(self.run_id).await?;
                let same = |(page, stored): &(&CommitPage, _)| repository::hash(&page.to_bytes()) == *stored;
                let stored = stored.into_iter().map(|page| page.digest);
                let there = self.pages.iter().zip(stored).take_while(same).count();
                tracing::info!(run_id = %self.run_id, there, pages = self.pages.len(), "an interrupted commit goes on");
                let there = u32::try_from(there).unwrap_or(0);
                self.send(client, there, counters).await.map(Some)
            }
            RunState::Committing | RunState::Locking | RunState::Succeeded => {
                self.ended(client, status, counters).await.map(Some)
            }
        }
    }
}

/// The commit of this source is over, or none will come of it.
pub(super) fn forget(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(path = %path.display(), %error, "an ended commit cannot be removed"),
    }
}

/// Brings an interrupted commit to its end, if there is one at `path`: a run that the server still holds open becomes its
/// snapshot. Nothing is lost where that fails: the next run reads the files again, and sends no pack twice.
///
/// # Errors
/// When the server does not answer: then the commit is kept, to be tried again.
pub async fn finish_interrupted(
    path: PathBuf,
    client: &Client,
    counters: &RunCounters,
) -> Result<Option<SnapshotSummary>, BackupError> {
    let Some(commit) = Commit::kept(&path) else {
        return Ok(None);
    };
    let outcome = commit.resume(client, counters).await;
    match &outcome {
        Ok(Some(snapshot)) => {
            tracing::info!(run_id = %commit.run_id, seq = snapshot.seq, "an interrupted commit is complete");
        }
        Ok(None) => tracing::info!(run_id = %commit.run_id, "the run of an interrupted commit is over"),
        Err(error) if may_go_on(error) => return outcome,
        Err(error) => tracing::warn!(run_id = %commit.run_id, %error, "an interrupted commit failed"),
    }
    forget(&path);
    Ok(outcome.unwrap_or_default())
}

/// Whether the same commit may still go through later.
pub(super) fn may_go_on(error: &BackupError) -> bool {
    match error {
        BackupError::Client(error) => !error.is_final(),
        BackupError::Unconfirmed { .. } | BackupError::Interrupted => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use shared::{
        api::agent::SnapshotTotals,
        object::{ObjectKind, ObjectRef},
    };

    use super::*;

    fn commit() -> Commit {
        let object = |number: u32| ObjectRef {
            kind: ObjectKind::Pack,
            hash: repository::hash(&number.to_be_bytes()),
            size_bytes: u64::from(number),
        };
        let pages = pages((0..9_000).map(object).collect(), vec![object(9_001).hash], vec![]);
        Commit {
            run_id: RunId::from_uuid(uuid::Uuid::from_u128(4)),
            request: CommitRequest {
                parent_seq: 7,
                manifest: object(9_002),
                totals: SnapshotTotals::default(),
                paths: Vec::new(),
                change: PageTotals::of_pages(&pages, repository::hash),
                counted_liveness: true,
                report: None,
            },
            pages,
        }
    }

    #[test]
    fn what_is_kept_reads_back_and_what_is_damaged_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("commit");
        assert_eq!(Commit::kept(&path), None);
        let commit = commit();
        commit.keep(&path);
        assert_eq!(Commit::kept(&path), Some(commit));
        let whole = fs::read(&path).unwrap();
        for change in [5, 20, 60, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[change] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert_eq!(Commit::kept(&path), None, "byte {change}");
            assert!(!path.exists());
        }
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(Commit::kept(&path), None);
    }
}
