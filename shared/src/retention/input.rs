//! What a plan is made from.

use std::num::NonZeroU64;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Period, Policy, PolicyError, Provider, provider::ProviderError};

/// A snapshot's number in its source: 1, 2, 3 …
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(NonZeroU64);

impl Seq {
    /// A number; `None` for 0, which stands for "no snapshot".
    #[must_use]
    pub fn new(seq: u64) -> Option<Self> {
        NonZeroU64::new(seq).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl std::fmt::Display for Seq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A backup set's policy, its provider, and some or all of its sources.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanInput {
    /// The policy in force.
    pub policy: Policy,
    /// Where the objects lie.
    pub provider: Provider,
    /// The sources. Each is planned by itself.
    pub sources: Vec<SourceInput>,
}

/// A source with its snapshots and its part of the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceInput {
    /// Nothing is backed up any more, and nothing is kept rolling: its snapshots run out.
    pub retired: bool,
    /// Whether a run is open: its pending objects are then kept.
    pub open_run: bool,
    /// The longest distance of two runs; `None` for a source without a schedule.
    pub interval: Option<SignedDuration>,
    /// The first scheduled instant after the newest complete snapshot's `received_at`; may have passed. `None` for a source
    /// without a schedule.
    pub next_due: Option<Timestamp>,
    /// Complete and expired snapshots, by number, ascending.
    pub snapshots: Vec<SnapshotInput>,
    /// Objects, in any order: their place in this list is their name in the plan.
    pub objects: Vec<ObjectInput>,
}

/// Where a snapshot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotState {
    /// Everything it needs was confirmed to be locked.
    Complete,
    /// Given up. Final: what it needed may be gone.
    Expired,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotInput {
    /// Its number.
    pub seq: Seq,
    /// When its commit was durable on the server.
    pub received_at: Timestamp,
    /// Where it stands.
    pub state: SnapshotState,
    /// The tiers that it was given at its commit.
    pub tiers: Vec<Period>,
    /// The promise that was given and confirmed, if any.
    pub protected_until: Option<Timestamp>,
    /// Held by a restore.
    pub pinned: bool,
    /// Whether it may stand for the source's data.
    pub soundness: Soundness,
}

/// Whether a snapshot may stand for its source's data. One of much less than the last was may be the backup of a disk that is not
/// mounted: until a person decides, it takes no tier, and those before it stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Soundness {
    /// No anomaly was found in it, or a person has decided that it is good.
    #[default]
    Sound,
    /// An anomaly was found, and nobody has decided.
    Undecided,
    /// A person has decided that it is not what it should be.
    Bad,
}

impl Soundness {
    /// Whether it counts as good.
    #[must_use]
    pub const fn is_sound(self) -> bool {
        matches!(self, Self::Sound)
    }
}

/// Where an object stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectState {
    /// Signed for by a run that is open or broke off.
    Pending,
    /// Needed, or once needed, by a snapshot.
    Live,
    /// About to be deleted.
    Deleting,
    /// Nobody knows: kept.
    Unknown,
}

/// An object version of the ledger, needed by the snapshots `born ≤ seq < dropped`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectInput {
    /// Its size.
    pub bytes: u64,
    /// How much of it the newest snapshot still uses.
    pub live_bytes: u64,
    /// Until when S3 confirmed it to be locked; `None` when that is not known.
    pub locked_until: Option<Timestamp>,
    /// The first snapshot that needs it; `None` while it is pending, and for what is no snapshot's: a broken run's, or an old
    /// version that a copy has replaced (which is then [`Deleting`](ObjectState::Deleting)).
    pub born: Option<Seq>,
    /// The first snapshot that no longer does.
    pub dropped: Option<Seq>,
    /// Where it stands.
    pub state: ObjectState,
}

/// Why no plan can be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// The policy.
    #[error("policy.{0}")]
    Policy(#[from] PolicyError),
    /// The provider.
    #[error("provider.{0}")]
    Provider(#[from] ProviderError),
    /// Snapshots that do not ascend.
    #[error(
        "sources[{source_index}].snapshots[{index}].seq: {seq} does not follow {before}; list snapshots by ascending seq"
    )]
    SeqOutOfOrder {
        /// The source's place.
        source_index: usize,
        /// The snapshot's place.
        index: usize,
        /// Its number.
        seq: Seq,
        /// The number before.
        before: Seq,
    },
    /// A live object that no snapshot can be named for.
    #[error("sources[{source_index}].objects[{index}].born: null, but a live object has a first snapshot")]
    NotBorn {
        /// The source's place.
        source_index: usize,
        /// The object's place.
        index: usize,
    },
    /// `born` is not below `dropped`.
    #[error("sources[{source_index}].objects[{index}].dropped: {dropped} must be above born ({})", .born.map_or("null".to_owned(), |born| born.to_string()))]
    DroppedBeforeBorn {
        /// The source's place.
        source_index: usize,
        /// The object's place.
        index: usize,
        /// Its `born`.
        born: Option<Seq>,
        /// Its `dropped`.
        dropped: Seq,
    },
    /// A negative distance of runs.
    #[error("sources[{source_index}].interval_hours: the distance of two runs must be above 0")]
    Interval {
        /// The source's place.
        source_index: usize,
    },
}

impl PlanInput {
    /// Checks what every plan relies on.
    ///
    /// # Errors
    /// The first fault, by its path.
    pub fn validate(&self) -> Result<(), PlanError> {
        self.policy.validate_stored()?;
        self.provider.validate()?;
        for (source_index, source) in self.sources.iter().enumerate() {
            source.validate(source_index)?;
        }
        Ok(())
    }
}

impl SourceInput {
    fn validate(&self, source_index: usize) -> Result<(), PlanError> {
        if self
            .interval
            .is_some_and(|interval| interval <= SignedDuration::ZERO)
        {
            return Err(PlanError::Interval { source_index });
        }
        for (index, pair) in self.snapshots.windows(2).enumerate() {
            let (before, seq) = (pair[0].seq, pair[1].seq);
            if seq <= before {
                return Err(PlanError::SeqOutOfOrder {
                    source_index,
                    index: index + 1,
                    seq,
                    before,
                });
            }
        }
        for (index, object) in self.objects.iter().enumerate() {
            if let Some(dropped) = object.dropped
                && object.born.is_none_or(|born| born >= dropped)
            {
                return Err(PlanError::DroppedBeforeBorn {
                    source_index,
                    index,
                    born: object.born,
                    dropped,
                });
            }
            // An object that is being deleted may never have been committed: it was pending, its run broke off.
            if object.born.is_none() && object.state == ObjectState::Live {
                return Err(PlanError::NotBorn { source_index, index });
            }
        }
        Ok(())
    }
}
