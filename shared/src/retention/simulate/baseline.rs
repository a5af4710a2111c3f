//! How other products keep locks, as far as their makers say. Each rule is idealised in its favour: no request fails, none is made
//! twice, nothing is listed, and no date is confirmed by a further request, which Holdfast does and pays for.

use serde::{Deserialize, Serialize};

use super::{error::SimulateError, workload::first_fault};

/// A rule of another product. `docs/RETENTION.md` describes each, with its sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case", deny_unknown_fields)]
pub enum Baseline {
    /// Each object is locked for N days at its upload, and never again. Source: kopia's default (kopia/kopia,
    /// `repo/open.go`; what it leads to, issue #1067).
    UploadOnly,
    /// The client's maintenance extends every object that is there to N days from now, when its last one is this long ago; it runs right
    /// after a backup. Source: kopia/kopia, `repo/maintenance/blob_retain.go` (`extendBlobRetentionTime`); the full cycle is a day by
    /// default.
    ExtendAll {
        /// The distance of two maintenance runs.
        every_hours: u32,
    },
    /// Each run extends whatever its snapshot needs to N days from now: the plain way to keep P1. Source: duplicati/duplicati,
    /// `--remote-file-lock-duration`.
    ExtendNewest,
    /// Each object is locked for N days and these; a run extends to that what its snapshot needs and is locked for less than N. Source:
    /// Arq 7's documentation of immutable backups.
    Slack {
        /// The days beyond N.
        days: u32,
    },
    /// All objects of a generation of this many days are locked until its end + N; what a later generation still needs is extended to the end of
    /// that one + N. Source: Veeam Help Center, "Block Generation", and KB 4470 (10 days; 30 days on Amazon S3).
    Generations {
        /// How long a generation lasts.
        days: u32,
    },
    /// The rule that Holdfast grew from: each object is locked for N days at its upload; a run backs up again whatever would lapse
    /// before the next one. Source: Retrospect's documentation of immutable backups.
    UploadAgain,
}

impl Baseline {
    pub(super) fn validate(self) -> Result<(), SimulateError> {
        match self {
            Self::ExtendAll { every_hours } => first_fault(&[(
                "baseline.every_hours",
                f64::from(every_hours),
                (1..=8_760).contains(&every_hours),
                "1 to 8760",
            )]),
            Self::Generations { days } | Self::Slack { days } => first_fault(&[(
                "baseline.days",
                f64::from(days),
                (1..=3_650).contains(&days),
                "1 to 3650",
            )]),
            Self::UploadOnly | Self::ExtendNewest | Self::UploadAgain => Ok(()),
        }
    }
}
