//! Progress as events: the library never prints. The binary draws a bar or writes JSON lines; the server gets
//! counts without names.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};

use serde::Serialize;
use shared::{
    api::agent::{RestoreProgress, RunPhase, RunProgress, SnapshotSummary},
    ids::{RestoreId, RunId, SourceId},
};

/// What happens.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A backup begins.
    RunStarted {
        /// The run.
        run_id: RunId,
        /// The source.
        source_id: SourceId,
        /// Its name.
        source_name: String,
    },
    /// How far a backup is.
    Progress(RunProgress),
    /// Something was not backed up whole. Shown on the endpoint only.
    Warning {
        /// Where.
        path: String,
        /// What.
        message: String,
    },
    /// A snapshot is complete.
    Snapshot(SnapshotEvent),
    /// A restore begins.
    RestoreStarted {
        /// The restore.
        restore_id: RestoreId,
    },
    /// How far a restore is.
    RestoreProgress(RestoreProgress),
    /// A restore ended well.
    Restored {
        /// The last figures.
        #[serde(flatten)]
        progress: RestoreProgress,
        /// What could not be put back exactly.
        notes: u64,
    },
}

/// A complete snapshot.
#[derive(Debug, Clone, Serialize)]
pub struct SnapshotEvent {
    /// Its id.
    pub snapshot_id: shared::ids::SnapshotId,
    /// The source.
    pub source_id: SourceId,
    /// The source's name.
    pub source_name: String,
    /// Its number.
    pub seq: u64,
    /// Bytes sent to the bucket.
    pub bytes_sent: u64,
    /// Regular files.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Bytes of contents.
    pub bytes: u64,
    /// Files left out or not whole.
    pub warnings: u64,
    /// When the server had the commit.
    pub received_at: jiff::Timestamp,
    /// The promise.
    pub protected_until: jiff::Timestamp,
}

impl From<&SnapshotSummary> for SnapshotEvent {
    fn from(snapshot: &SnapshotSummary) -> Self {
        Self {
            snapshot_id: snapshot.id,
            source_id: snapshot.source_id,
            source_name: snapshot.source_name.clone(),
            seq: snapshot.seq,
            bytes_sent: snapshot.totals.bytes_sent,
            files: snapshot.totals.files,
            folders: snapshot.totals.folders,
            bytes: snapshot.totals.bytes,
            warnings: snapshot.totals.warnings,
            received_at: snapshot.received_at,
            protected_until: snapshot.protected_until,
        }
    }
}

/// Who is told.
pub trait Observer: Send + Sync {
    /// Something happened. Called from several threads.
    fn event(&self, event: &Event);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _event: &Event) {}
}

const UNKNOWN: u64 = u64::MAX;

/// The figures of a backup under way.
#[derive(Debug)]
pub struct RunCounters {
    /// Files and folders looked at.
    pub files_done: AtomicU64,
    /// Bytes looked at.
    pub bytes_done: AtomicU64,
    /// Bytes that were really read: not those of unchanged files.
    pub bytes_read: AtomicU64,
    /// Bytes in the bucket.
    pub bytes_sent: AtomicU64,
    /// Warnings.
    pub warnings: AtomicU64,
    files_total: AtomicU64,
    bytes_total: AtomicU64,
    phase: AtomicU8,
    stop: AtomicBool,
}

impl RunCounters {
    /// All zero, totals unknown.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            files_done: AtomicU64::new(0),
            bytes_done: AtomicU64::new(0),
            bytes_read: AtomicU64::new(0),
            bytes_sent: AtomicU64::new(0),
            warnings: AtomicU64::new(0),
            files_total: AtomicU64::new(UNKNOWN),
            bytes_total: AtomicU64::new(UNKNOWN),
            phase: AtomicU8::new(0),
            stop: AtomicBool::new(false),
        }
    }

    /// Counting has ended.
    pub fn found(&self, files: u64, bytes: u64) {
        self.files_total.store(files, Relaxed);
        self.bytes_total.store(bytes, Relaxed);
    }

    /// The next phase begins.
    pub fn enter(&self, phase: RunPhase) {
        let number = match phase {
            RunPhase::Transfer => 0,
            RunPhase::Finish => 1,
            RunPhase::Confirm => 2,
        };
        self.phase.store(number, Relaxed);
    }

    /// Asks the run to stop at the next file.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// Whether it was asked to.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// The figures now.
    #[must_use]
    pub fn report(&self) -> RunProgress {
        let known = |total: &AtomicU64, done: u64| {
            let total = total.load(Relaxed);
            (total != UNKNOWN).then_some(total.max(done))
        };
        let files_done = self.files_done.load(Relaxed);
        let bytes_done = self.bytes_done.load(Relaxed);
        RunProgress {
            phase: match self.phase.load(Relaxed) {
                0 => RunPhase::Transfer,
                1 => RunPhase::Finish,
                _ => RunPhase::Confirm,
            },
            files_done,
            files_total: known(&self.files_total, files_done),
            bytes_done,
            bytes_total: known(&self.bytes_total, bytes_done),
            bytes_sent: self.bytes_sent.load(Relaxed),
            warnings: self.warnings.load(Relaxed),
        }
    }
}

impl Default for RunCounters {
    fn default() -> Self {
        Self::new()
    }
}

/// The figures of a restore under way.
#[derive(Debug, Default)]
pub struct RestoreCounters {
    /// Files and folders put back.
    pub files_done: AtomicU64,
    /// Files and folders to put back.
    pub files_total: AtomicU64,
    /// Bytes written.
    pub bytes_done: AtomicU64,
    /// Bytes to write.
    pub bytes_total: AtomicU64,
}

impl RestoreCounters {
    /// The figures now.
    #[must_use]
    pub fn report(&self) -> RestoreProgress {
        RestoreProgress {
            files_done: self.files_done.load(Relaxed),
            files_total: self.files_total.load(Relaxed),
            bytes_done: self.bytes_done.load(Relaxed),
            bytes_total: self.bytes_total.load(Relaxed),
        }
    }
}
