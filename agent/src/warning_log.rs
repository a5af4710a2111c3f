//! The daemon's log of what was not backed up whole, file by file.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::progress::{Event, Observer};

/// So many files of a run are named in the log; the rest is counted.
const LOGGED: u64 = 1000;

/// Logs warnings and notes, and passes everything on.
pub(crate) struct WarningLog {
    next: Arc<dyn Observer>,
    told: AtomicU64,
}

/// What is logged of an event.
#[derive(Debug, PartialEq, Eq)]
enum Line<'e> {
    Warning {
        path: &'e str,
        reason: &'e str,
    },
    Note {
        path: &'e str,
        reason: &'e str,
    },
    /// So many were not named.
    Rest(u64),
}

impl WarningLog {
    pub(crate) fn new(next: Arc<dyn Observer>) -> Self {
        Self {
            next,
            told: AtomicU64::new(0),
        }
    }

    fn line<'e>(&self, event: &'e Event) -> Option<Line<'e>> {
        match event {
            Event::RunStarted { .. } => {
                self.told.store(0, Relaxed);
                None
            }
            Event::Warning { path, message } => self.is_named().then_some(Line::Warning {
                path,
                reason: message,
            }),
            Event::Note { path, message } => self.is_named().then_some(Line::Note {
                path,
                reason: message,
            }),
            Event::Snapshot(_) => {
                let rest = self.told.swap(0, Relaxed).saturating_sub(LOGGED);
                (rest > 0).then_some(Line::Rest(rest))
            }
            _ => None,
        }
    }

    fn is_named(&self) -> bool {
        self.told.fetch_add(1, Relaxed) < LOGGED
    }
}

impl Observer for WarningLog {
    fn event(&self, event: &Event) {
        match self.line(event) {
            Some(Line::Warning { path, reason }) => tracing::warn!(path, reason, "not backed up whole"),
            Some(Line::Note { path, reason }) => tracing::info!(path, reason, "not in the backup"),
            Some(Line::Rest(more)) => {
                tracing::warn!(
                    more,
                    "were not named: `holdfast-agent show --warnings` lists them"
                );
            }
            None => {}
        }
        self.next.event(event);
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use shared::ids::{RunId, SnapshotId, SourceId};
    use uuid::Uuid;

    use super::*;
    use crate::progress::{Silent, SnapshotEvent};

    fn started() -> Event {
        Event::RunStarted {
            run_id: RunId::from_uuid(Uuid::nil()),
            source_id: SourceId::from_uuid(Uuid::nil()),
            source_name: String::new(),
        }
    }

    fn ended() -> Event {
        Event::Snapshot(SnapshotEvent {
            snapshot_id: SnapshotId::from_uuid(Uuid::nil()),
            source_id: SourceId::from_uuid(Uuid::nil()),
            source_name: String::new(),
            seq: 1,
            bytes_sent: 0,
            files: 0,
            folders: 0,
            bytes: 0,
            warnings: 0,
            received_at: Timestamp::UNIX_EPOCH,
            protected_until: Timestamp::UNIX_EPOCH,
        })
    }

    #[test]
    fn files_are_named_up_to_a_bound_and_the_rest_is_counted() {
        let log = WarningLog::new(Arc::new(Silent));
        let (path, message) = ("/srv/a".to_owned(), "gone".to_owned());
        let warning = Event::Warning {
            path: path.clone(),
            message: message.clone(),
        };
        let note = Event::Note { path, message };
        let (path, reason) = ("/srv/a", "gone");
        for _ in 0..2 {
            assert_eq!(log.line(&started()), None);
            assert_eq!(log.line(&warning), Some(Line::Warning { path, reason }));
            assert_eq!(log.line(&note), Some(Line::Note { path, reason }));
            let named = (2..LOGGED + 5).filter(|_| log.line(&warning).is_some());
            assert_eq!(named.count() as u64, LOGGED - 2);
            assert_eq!(log.line(&ended()), Some(Line::Rest(5)));
            assert_eq!(log.line(&ended()), None);
            // A run that does not end well leaves nothing to the next.
            log.line(&warning);
        }
    }
}
