//! What a snapshot says of itself: where it comes from, and what was not backed up whole, file by file. That is sealed to the
//! recovery key, so it takes the kit.

use std::sync::Arc;

use repository::{
    WireError,
    commit::CommitVerifyingKey,
    kit::Kit,
    manifest::{self, ListedWarning, ManifestHeader, WarningList},
    recovery::RecoverySecret,
    tree::TreeError,
};
use shared::{
    api::agent::{RestoreFinish, RestoreProgress, RestorePurpose, SnapshotTotals},
    ids::SnapshotId,
};

use crate::{
    client::Client,
    progress::Observer,
    recover::{FoundSnapshot, Reading, RecoverError},
    snapshot::{ChunkIndex, Expected, Listings, Reason, Served, Snapshot, SnapshotError},
    state::State,
    store::ObjectSource,
};

/// Which snapshot to show through the server.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Whether what was not backed up whole is wanted.
    pub warnings: bool,
    /// What is known of the snapshot besides its id.
    pub expected: Expected,
    /// The server's key for commit records, in the place of the one that enrollment left behind.
    pub commit_key: Option<CommitVerifyingKey>,
}

/// What a snapshot says.
#[derive(Debug)]
pub struct SnapshotFacts {
    /// Its totals, by its signed manifest. They count all warnings and notes.
    pub totals: SnapshotTotals,
    /// What was not backed up whole, ascending by path, as far as it is listed; empty when it was not asked for.
    pub warnings: Vec<ListedWarning>,
    /// Pages of that list that are lost.
    pub lost: Vec<Reason>,
}

/// Shows a snapshot whose restore somebody has allowed. To the server it is a dry run: it uses nothing up.
///
/// # Errors
/// See [`SnapshotError`].
pub async fn show_served(
    state: &State,
    client: &Client,
    what: &Shown,
    kit: &Kit,
    observer: Arc<dyn Observer>,
) -> Result<SnapshotFacts, SnapshotError> {
    let secret = kit.secret();
    let key = what.commit_key;
    let served = Served::open(
        state,
        client,
        what.snapshot,
        Some(&secret),
        key,
        RestorePurpose::DryRun,
        observer,
    )
    .await?;
    let restore_id = served.work.restore_id;
    let what = what.clone();
    let result = tokio::task::spawn_blocking(move || {
        let chosen = served.choose(Some(&secret), &what.expected)?;
        facts(
            &served.source,
            &chosen.bytes,
            &chosen.header,
            &secret,
            what.warnings,
        )
    })
    .await
    .unwrap_or(Err(SnapshotError::Thread));
    let finish = RestoreFinish {
        progress: RestoreProgress::default(),
        error: result.as_ref().err().map(SnapshotError::public),
    };
    if let Err(error) = client.finish_restore(restore_id, &finish).await {
        tracing::warn!(%restore_id, %error, "the server could not be told that the snapshot was shown");
    }
    result
}

impl Reading<'_> {
    /// Shows a snapshot in the bucket.
    ///
    /// # Errors
    /// When the bucket cannot be asked, or there is no kit.
    pub fn facts(&self, found: &FoundSnapshot, warnings: bool) -> Result<SnapshotFacts, RecoverError> {
        let secret = self.secret.ok_or(RecoverError::NoKit)?;
        let (store, bytes) = self.bytes_of(found)?;
        Ok(facts(&store, &bytes, &found.header, secret, warnings)?)
    }
}

/// What a snapshot says, read from any source of objects. The header must be verified.
///
/// # Errors
/// When the kit does not open it, or the storage cannot be asked. Lost pages are no error.
pub fn facts(
    source: &dyn ObjectSource,
    bytes: &[u8],
    header: &ManifestHeader,
    secret: &RecoverySecret,
    warnings: bool,
) -> Result<SnapshotFacts, SnapshotError> {
    let mut facts = SnapshotFacts {
        totals: header.totals,
        warnings: Vec::new(),
        lost: Vec::new(),
    };
    if !warnings {
        return Ok(facts);
    }
    let pages = match manifest::open_content(bytes, secret)?.warnings {
        WarningList::Inline(warnings) => {
            facts.warnings = warnings.iter().map(ListedWarning::from).collect();
            return Ok(facts);
        }
        WarningList::Pages(pages) if pages.is_empty() => return Ok(facts),
        WarningList::Pages(pages) => pages,
    };
    let snapshot = Snapshot::open(source, bytes, header, secret)?;
    let index = ChunkIndex::open(source, &snapshot, secret)?;
    let read = Listings::new(&index, false).read(pages, |page| {
        // What is wrong with a page is told like what is wrong with one of a listing.
        let refused = |_| TreeError::Wire(WireError::Malformed { what: "warnings" });
        manifest::decode_warning_page(page).map_err(refused)
    })?;
    for page in read.into_values() {
        match page {
            Ok(mut warnings) => facts.warnings.append(&mut warnings),
            Err(reason) => facts.lost.push(reason),
        }
    }
    facts
        .warnings
        .sort_by(|a, b| (&a.path, a.kind).cmp(&(&b.path, b.kind)));
    Ok(facts)
}
