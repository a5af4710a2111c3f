//! A plan: what is to become of each snapshot and each object. A value; carrying it out is somebody else's work.

use jiff::Timestamp;
use serde::Serialize;

/// The verdicts on everything in a [`PlanInput`](super::PlanInput), in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// One for each source.
    pub sources: Vec<SourcePlan>,
}

/// The verdicts on one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePlan {
    /// Q, as it was used.
    pub lock_ahead_days: u32,
    /// One for each snapshot.
    pub snapshots: Vec<SnapshotPlan>,
    /// One for each object.
    pub objects: Vec<ObjectVerdict>,
}

/// What is to become of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotPlan {
    /// Until when it is protected, whether or not something keeps it longer.
    pub protected_until: Timestamp,
    /// Why it is kept; empty when it is to expire, or has.
    pub reasons: Vec<KeepReason>,
}

impl SnapshotPlan {
    /// Whether the snapshot is kept.
    #[must_use]
    pub fn keeps(&self) -> bool {
        !self.reasons.is_empty()
    }

    /// Whether what it needs must be locked: a snapshot that is only frozen stays as it is.
    #[must_use]
    pub fn asks_for_locks(&self) -> bool {
        self.reasons.iter().any(|reason| *reason != KeepReason::Frozen)
    }
}

/// Why a snapshot is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepReason {
    /// `received_at` + N has not passed.
    WithinRetention,
    /// A promise that was given has not passed.
    StoredPromise,
    /// The retention of one of its tiers has not passed.
    Tier,
    /// It is one of the newest complete and sound snapshots of a source that is not retired, or the newest complete one.
    LastGood,
    /// A restore holds it.
    Pinned,
    /// Nothing of its source is given up while an anomaly is open. It asks nothing of locks beyond what was promised.
    Frozen,
}

/// Whose need decides how long an object must be locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NeedKind {
    /// The protection of a kept snapshot (P1).
    Protection,
    /// A run that may still commit it.
    OpenRun,
    /// One of the newest snapshots, which never lapse (P3).
    LastGood,
    /// A pinned snapshot.
    Pinned,
    /// The upcoming snapshot, which will share it (P2).
    Upcoming,
}

/// Until when an object must be locked, and for whom. The latest need is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// Until when, in whole seconds.
    pub until: Timestamp,
    /// For whom.
    pub kind: NeedKind,
}

/// What is to become of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectVerdict {
    /// Nothing to do: the lock suffices, nobody knows enough to do anything, or the source is frozen.
    Hold {
        /// What it is needed for, if that is known.
        need: Option<Need>,
    },
    /// Move the lock to a later date.
    Refresh {
        /// What it falls short of.
        need: Need,
        /// The new date.
        until: Timestamp,
    },
    /// Do not reuse it in the next run: what it holds enters the next backup again. A wish; should the run not come, a later
    /// plan refreshes or copies.
    AddAgain {
        /// What it falls short of, or what it is needed for now, where it would fall short of the tier that the next run's snapshot
        /// takes.
        need: Need,
    },
    /// Put its bytes again as a new locked version: the provider cannot move the lock, and no run will come in time.
    Copy {
        /// What it falls short of.
        need: Need,
        /// The new version's lock.
        until: Timestamp,
    },
    /// Needed by nobody, and still locked.
    AwaitUnlock {
        /// Until when.
        until: Timestamp,
    },
    /// Needed by nobody and no longer locked.
    Delete,
}

impl ObjectVerdict {
    /// What the object is needed for.
    #[must_use]
    pub fn need(&self) -> Option<Need> {
        match self {
            Self::Hold { need } => *need,
            Self::Refresh { need, .. } | Self::AddAgain { need } | Self::Copy { need, .. } => Some(*need),
            Self::AwaitUnlock { .. } | Self::Delete => None,
        }
    }

    /// The date that the verdict sets or waits for.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Refresh { until, .. } | Self::Copy { until, .. } | Self::AwaitUnlock { until } => {
                Some(*until)
            }
            Self::Hold { .. } | Self::AddAgain { .. } | Self::Delete => None,
        }
    }
}
