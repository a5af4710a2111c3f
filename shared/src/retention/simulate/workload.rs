//! What is backed up, how it changes, which runs fail to come, and for how long that is followed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::SimulateError;

/// What is backed up, and how it changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Objects of the first backup.
    pub objects: u64,
    /// Bytes of one full object.
    pub object_bytes: u64,
    /// Pieces of an object that change each by itself. With 1, an object is dropped as a whole; with more, it is dropped when its
    /// last piece has changed, and holds dead bytes until then.
    #[serde(default = "one")]
    pub pieces_per_object: u32,
    /// What is new each day, as a number of full objects.
    #[serde(default)]
    pub growth_objects_per_day: f64,
    /// The part of the data that is replaced each day: 0.01 for one hundredth. A run that comes after several days replaces the sum.
    #[serde(default)]
    pub churn_per_day: f64,
    /// Runs that do not come.
    #[serde(default)]
    pub missed: RunNumbers,
    /// Runs whose snapshot is not clean: something that should be in it was left out, or changed while it was read.
    #[serde(default)]
    pub unclean: RunNumbers,
    /// How long a run may take, at most: its uploads are locked for a commit as late as that.
    #[serde(default = "a_day")]
    pub run_deadline_hours: u32,
}

/// Some of the runs that are due, by number; the first is 1. What would have changed with a run that does not come changes with the
/// next one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunNumbers {
    /// Each run whose number is a multiple of this; 0 for none.
    pub every: u32,
    /// These.
    pub runs: Vec<u32>,
    /// This one and all that follow, as when the agent has gone silent. `null` for never.
    pub from: Option<u32>,
}

/// From when, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Horizon {
    /// The beginning of day 1, cut to a whole second. The first run is the first that is due then or later.
    pub start: Timestamp,
    /// Days of 24 hours.
    pub days: u32,
    /// Into how many dates the locks of a day's uploads are spread (u ∈ [½, 1] in [`upload_lock`](crate::retention::upload_lock)).
    /// With 1, each gets the whole Q.
    #[serde(default = "slots")]
    pub upload_slots: u32,
}

fn one() -> u32 {
    1
}

fn a_day() -> u32 {
    24
}

fn slots() -> u32 {
    16
}

impl RunNumbers {
    /// Whether a run is one of them.
    #[must_use]
    pub fn contains(&self, number: u32) -> bool {
        (self.every > 0 && number.is_multiple_of(self.every))
            || self.from.is_some_and(|from| number >= from)
            || self.runs.contains(&number)
    }
}

impl Workload {
    /// So many pieces at most, so that a product of two counts fits 64 bits.
    pub(super) const MAX_PIECES: u64 = u32::MAX as u64;

    pub(super) fn validate(&self) -> Result<(), SimulateError> {
        let pieces = u64::from(self.pieces_per_object);
        let most = Self::MAX_PIECES / pieces.max(1);
        #[expect(clippy::cast_precision_loss, reason = "figures for a message")]
        let fields = [
            (
                "workload.pieces_per_object",
                f64::from(self.pieces_per_object),
                (1..=1024).contains(&self.pieces_per_object),
                "1 to 1024",
            ),
            (
                "workload.objects",
                self.objects as f64,
                self.objects <= most,
                "0 to 4294967295 pieces in all",
            ),
            (
                "workload.object_bytes",
                self.object_bytes as f64,
                (pieces..=1 << 40).contains(&self.object_bytes),
                "one byte a piece to 2^40",
            ),
            (
                "workload.growth_objects_per_day",
                self.growth_objects_per_day,
                (0.0..=1e9).contains(&self.growth_objects_per_day),
                "0 to 1e9",
            ),
            (
                "workload.churn_per_day",
                self.churn_per_day,
                (0.0..=1.0).contains(&self.churn_per_day),
                "0 to 1",
            ),
            (
                "workload.run_deadline_hours",
                f64::from(self.run_deadline_hours),
                (1..=168).contains(&self.run_deadline_hours),
                "1 to 168",
            ),
        ];
        first_fault(&fields)
    }

    /// Bytes of one piece.
    pub(super) fn piece_bytes(&self) -> u64 {
        self.object_bytes / u64::from(self.pieces_per_object)
    }
}

impl Horizon {
    pub(super) fn validate(&self) -> Result<(), SimulateError> {
        let year = self.start.as_second() / 31_556_952 + 1970;
        first_fault(&[
            (
                "horizon.days",
                f64::from(self.days),
                (1..=36_525).contains(&self.days),
                "1 to 36525",
            ),
            (
                "horizon.upload_slots",
                f64::from(self.upload_slots),
                self.upload_slots.is_power_of_two() && self.upload_slots <= 256,
                "a power of 2 from 1 to 256",
            ),
            #[expect(clippy::cast_precision_loss, reason = "a year")]
            (
                "horizon.start",
                year as f64,
                (1970..=8000).contains(&year),
                "a year from 1970 to 8000",
            ),
        ])
    }
}

/// The first field that does not hold: its path, its value, whether it holds, what it may hold.
pub(super) fn first_fault(fields: &[(&'static str, f64, bool, &'static str)]) -> Result<(), SimulateError> {
    match fields.iter().find(|field| !field.2) {
        None => Ok(()),
        Some(&(field, value, _, range)) => Err(SimulateError::OutOfRange { field, value, range }),
    }
}
