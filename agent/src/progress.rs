//! Progress as events: the library never prints. The binary draws a bar or writes JSON lines; the server gets
//! counts without names.

use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde::Serialize;
use shared::{
    api::agent::{RestoreProgress, RunPhase, RunProgress, SnapshotSummary, Stuck},
    ids::{RestoreId, RunId, SourceId},
};
use tokio::sync::Notify;

use crate::{
    clock,
    reading::{Hook, Readings},
    throughput::Throughput,
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
    /// How far a backup is. The server is told the same, but for the path.
    Progress {
        /// The figures.
        #[serde(flatten)]
        progress: RunProgress,
        /// How fast it goes.
        #[serde(flatten)]
        speed: Speed,
        /// The file that was begun last. Shown on the endpoint only.
        current: String,
    },
    /// Something was not backed up whole. Shown on the endpoint only.
    Warning {
        /// Where.
        path: String,
        /// What.
        message: String,
    },
    /// Something is not in the backup, and nothing is wrong. Shown on the endpoint only.
    Note {
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
        /// Until when restores of the snapshot may begin, and read.
        allowed_until: jiff::Timestamp,
    },
    /// Which snapshot it is, by the manifest that its agent signed. Nothing was written yet.
    Origin(crate::snapshot::Origin),
    /// How far a restore is.
    RestoreProgress {
        /// The figures.
        #[serde(flatten)]
        progress: RestoreProgress,
        /// How fast it goes.
        #[serde(flatten)]
        speed: Speed,
    },
    /// A restore ended.
    Restored {
        /// The last figures.
        #[serde(flatten)]
        progress: RestoreProgress,
        /// What could not be put back exactly.
        notes: u64,
        /// What could not be put back at all.
        lost: u64,
    },
}

/// How fast something goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Speed {
    /// Bytes that are done in a second, of late.
    pub bytes_per_second: u64,
    /// How long the rest will take at this speed; `None` while nobody can tell.
    pub seconds_left: Option<u64>,
}

impl Speed {
    /// So many bytes of `total` are done `now`.
    pub fn tick(throughput: &mut Throughput, now: Instant, done: u64, total: Option<u64>) -> Self {
        throughput.at(now, done);
        let left = total.map(|total| total.saturating_sub(done));
        Self {
            bytes_per_second: throughput.bytes_per_second(),
            seconds_left: left
                .and_then(|left| throughput.time_for(left))
                .map(|left| left.as_secs()),
        }
    }
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
/// A call into a file system that lasts so long is told of.
const STUCK_AFTER: Duration = Duration::from_mins(5);

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
    stop_told: Notify,
    refused: OnceLock<String>,
    looking_at: Mutex<Vec<u8>>,
    pub(crate) readings: Readings,
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
            stop_told: Notify::const_new(),
            refused: OnceLock::new(),
            looking_at: Mutex::new(Vec::new()),
            readings: Readings::new(),
        }
    }

    /// Has a hook called before each call into a file system, for tests of calls that do not come back.
    #[must_use]
    pub fn with_hook(self, hook: Hook) -> Self {
        self.readings.set_hook(hook);
        self
    }

    /// What is being read now. It stays on the endpoint.
    pub fn looking_at(&self, path: impl FnOnce() -> Vec<u8>) {
        // Whoever finds it taken has a path as good as the other.
        if let Ok(mut current) = self.looking_at.try_lock() {
            *current = path();
        }
    }

    /// The path that was begun last.
    #[must_use]
    pub fn current(&self) -> Vec<u8> {
        self.looking_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The walk is over: what was found is all there is.
    pub fn all_found(&self) {
        self.found(self.files_done.load(Relaxed), self.bytes_done.load(Relaxed));
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
        self.stop_told.notify_waiters();
    }

    /// The server has ended the run, and says why: it stops.
    pub(crate) fn refuse(&self, why: String) {
        let _ = self.refused.set(why);
        self.stop();
    }

    /// Why the server has ended the run, if it has.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.refused.get().cloned()
    }

    /// Resolves when it was asked to stop.
    pub async fn until_stopped(&self) {
        let mut told = std::pin::pin!(self.stop_told.notified());
        // From here on no call of `stop` is missed.
        told.as_mut().enable();
        if !self.stopped() {
            told.await;
        }
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
            stuck: self
                .readings
                .longest(clock::milliseconds())
                .filter(|hang| hang.lasts >= STUCK_AFTER)
                .map(|hang| Stuck {
                    path: u32::try_from(hang.path).unwrap_or(u32::MAX),
                    seconds: hang.lasts.as_secs(),
                }),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_progress_has_figures_speed_the_time_left_and_the_file() {
        let counters = RunCounters::new();
        counters.looking_at(|| b"/srv/data/a".to_vec());
        counters.found(10, 5000);
        let (mut throughput, begin) = (Throughput::default(), clock::monotonic());
        let mut speed = Speed::default();
        for second in 0..4u32 {
            counters.bytes_done.store(u64::from(second) * 1000, Relaxed);
            let report = counters.report();
            let now = begin + Duration::from_secs(1) * second;
            speed = Speed::tick(&mut throughput, now, report.bytes_done, report.bytes_total);
        }
        let event = Event::Progress {
            progress: counters.report(),
            speed,
            current: String::from_utf8(counters.current()).unwrap(),
        };
        let line = serde_json::to_value(&event).unwrap();
        assert_eq!(line["event"], "progress");
        assert_eq!(
            (line["bytes_done"].as_u64(), line["bytes_total"].as_u64()),
            (Some(3000), Some(5000))
        );
        assert_eq!(line["bytes_per_second"], 1000);
        assert_eq!(line["seconds_left"], 2);
        assert_eq!(line["current"], "/srv/data/a");
    }
}
