//! The planner's file: what `holdfast plan` reads and writes, for a shell and without a database.
//!
//! Strict on purpose: a field that is misspelt must not turn into a default that unlocks something.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    KeepReason, NeedKind, ObjectInput, ObjectState, ObjectVerdict, Period, Plan, PlanError, PlanInput,
    Policy, Provider, Seq, SnapshotInput, SnapshotState, Soundness, SourceInput, check, plan,
};

/// What `holdfast plan` reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    /// The policy in force.
    pub policy: Policy,
    /// Where the objects lie.
    pub provider: Provider,
    /// The sources.
    pub sources: Vec<SourceEntry>,
}

/// A source in a [`PlanFile`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceEntry {
    /// Its name.
    pub id: String,
    /// See [`SourceInput::retired`].
    #[serde(default)]
    pub retired: bool,
    /// See [`SourceInput::open_run`]. Who does not say has one: pending objects are then kept.
    #[serde(default = "yes")]
    pub open_run: bool,
    /// The longest distance of two runs, in hours; null without a schedule.
    pub interval_hours: Option<f64>,
    /// See [`SourceInput::next_due`].
    pub next_due: Option<Timestamp>,
    /// By number, ascending.
    pub snapshots: Vec<SnapshotEntry>,
    /// In any order.
    pub objects: Vec<ObjectEntry>,
}

fn yes() -> bool {
    true
}

/// A snapshot in a [`PlanFile`]; see [`SnapshotInput`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of `SnapshotInput`")]
pub struct SnapshotEntry {
    pub seq: Seq,
    pub received_at: Timestamp,
    pub state: SnapshotState,
    #[serde(default)]
    pub tiers: Vec<Period>,
    pub protected_until: Option<Timestamp>,
    #[serde(default)]
    pub pinned: bool,
    #[serde(default)]
    pub soundness: Soundness,
}

/// An object in a [`PlanFile`]; see [`ObjectInput`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of `ObjectInput`, and its name")]
pub struct ObjectEntry {
    pub id: String,
    pub bytes: u64,
    pub live_bytes: u64,
    pub state: ObjectState,
    pub born: Option<Seq>,
    pub dropped: Option<Seq>,
    pub locked_until: Option<Timestamp>,
}

/// Why a [`PlanFile`] gives no plan. One line, which names the field and the reason.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanFileError {
    /// The input contradicts itself.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A name that is used twice.
    #[error("{path}: {id:?} is named twice; give each its own id")]
    DuplicateId {
        /// The second one's path.
        path: String,
        /// The name.
        id: String,
    },
    /// A lock that the policy would never have set.
    #[error(
        "{path}: {locked_until} is more than lock_cap_days ({cap_days}) ahead; check the date and the clock, or raise the cap"
    )]
    BeyondCap {
        /// Its path.
        path: String,
        /// The date.
        locked_until: Timestamp,
        /// The policy's cap.
        cap_days: u32,
    },
    /// Not a distance of runs.
    #[error("{path}: {hours} is no distance of two runs; use hours above 0 and up to 87600, or null")]
    Interval {
        /// Its path.
        path: String,
        /// The value.
        hours: f64,
    },
    /// More live bytes than bytes.
    #[error("{path}: {live_bytes} is more than bytes ({bytes})")]
    LiveBytes {
        /// Its path.
        path: String,
        /// The live bytes.
        live_bytes: u64,
        /// The object's size.
        bytes: u64,
    },
}

/// What `holdfast plan` writes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanReport {
    /// All sources' snapshots, in the file's order.
    pub snapshots: Vec<SnapshotLine>,
    /// All sources' objects, in the file's order.
    pub objects: Vec<ObjectLine>,
    /// Q, as it was used; of several sources with an automatic Q the largest.
    pub lock_ahead_days: u32,
    /// What `check` found in the plan, one line each.
    pub violations: Vec<String>,
}

/// The verdict on a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SnapshotLine {
    /// The source.
    pub source: String,
    /// The snapshot's number.
    pub seq: Seq,
    /// `keep` or `expire`.
    pub verdict: &'static str,
    /// Until when it is protected.
    pub protected_until: Timestamp,
    /// Why it is kept.
    pub reasons: Vec<KeepReason>,
}

/// The verdict on an object.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObjectLine {
    /// The source.
    pub source: String,
    /// The object's name.
    pub id: String,
    /// `hold`, `refresh`, `add_again`, `copy`, `await_unlock` or `delete`.
    pub verdict: &'static str,
    /// Until when it must be locked; null when nobody needs it.
    pub need: Option<Timestamp>,
    /// For whom.
    pub need_for: Option<NeedKind>,
    /// The date that the verdict sets or waits for.
    pub until: Option<Timestamp>,
}

impl PlanFile {
    /// Plans at the instant `now`, and checks the plan.
    ///
    /// # Errors
    /// See [`PlanFileError`].
    pub fn report(&self, now: Timestamp) -> Result<PlanReport, PlanFileError> {
        let input = self.input(now)?;
        let plan = plan(&input, now)?;
        let violations = check(&input, &plan, now)
            .iter()
            .map(ToString::to_string)
            .collect();
        Ok(self.lines(&plan, violations))
    }

    /// The planner's input; names are left behind, places stay.
    ///
    /// # Errors
    /// See [`PlanFileError`].
    pub fn input(&self, now: Timestamp) -> Result<PlanInput, PlanFileError> {
        self.policy.validate().map_err(PlanError::from)?;
        let mut names = HashSet::new();
        let mut sources = Vec::with_capacity(self.sources.len());
        for (place, source) in self.sources.iter().enumerate() {
            let path = format!("sources[{place}]");
            unique(&mut names, &source.id, || format!("{path}.id"))?;
            sources.push(source.input(&path, &self.policy, now)?);
        }
        let input = PlanInput {
            policy: self.policy.clone(),
            provider: self.provider,
            sources,
        };
        input.validate()?;
        Ok(input)
    }

    fn lines(&self, plan: &Plan, violations: Vec<String>) -> PlanReport {
        let mut report = PlanReport {
            snapshots: Vec::new(),
            objects: Vec::new(),
            lock_ahead_days: plan
                .sources
                .iter()
                .map(|source| source.lock_ahead_days)
                .max()
                .unwrap_or(0),
            violations,
        };
        for (source, planned) in self.sources.iter().zip(&plan.sources) {
            let snapshots = source.snapshots.iter().zip(&planned.snapshots);
            report
                .snapshots
                .extend(snapshots.map(|(snapshot, plan)| SnapshotLine {
                    source: source.id.clone(),
                    seq: snapshot.seq,
                    verdict: if plan.keeps() { "keep" } else { "expire" },
                    protected_until: plan.protected_until,
                    reasons: plan.reasons.clone(),
                }));
            let objects = source.objects.iter().zip(&planned.objects);
            report.objects.extend(objects.map(|(object, verdict)| ObjectLine {
                source: source.id.clone(),
                id: object.id.clone(),
                verdict: verdict.name(),
                need: verdict.need().map(|need| need.until),
                need_for: verdict.need().map(|need| need.kind),
                until: verdict.until(),
            }));
        }
        report
    }
}

impl SourceEntry {
    fn input(&self, path: &str, policy: &Policy, now: Timestamp) -> Result<SourceInput, PlanFileError> {
        let interval = match self.interval_hours {
            None => None,
            Some(hours) if hours > 0.0 && hours <= 87_600.0 => {
                Some(SignedDuration::from_secs_f64((hours * 3_600.0).ceil()))
            }
            Some(hours) => {
                let path = format!("{path}.interval_hours");
                return Err(PlanFileError::Interval { path, hours });
            }
        };
        let mut names = HashSet::new();
        for (place, object) in self.objects.iter().enumerate() {
            let path = || format!("{path}.objects[{place}]");
            unique(&mut names, &object.id, || format!("{}.id", path()))?;
            object.validate(path, policy, now)?;
        }
        let snapshots = self.snapshots.iter().map(|snapshot| SnapshotInput {
            seq: snapshot.seq,
            received_at: snapshot.received_at,
            state: snapshot.state,
            tiers: snapshot.tiers.clone(),
            protected_until: snapshot.protected_until,
            pinned: snapshot.pinned,
            soundness: snapshot.soundness,
        });
        let objects = self.objects.iter().map(|object| ObjectInput {
            bytes: object.bytes,
            live_bytes: object.live_bytes,
            locked_until: object.locked_until,
            born: object.born,
            dropped: object.dropped,
            state: object.state,
        });
        Ok(SourceInput {
            retired: self.retired,
            open_run: self.open_run,
            interval,
            next_due: self.next_due,
            snapshots: snapshots.collect(),
            objects: objects.collect(),
        })
    }
}

impl ObjectEntry {
    fn validate(
        &self,
        path: impl Fn() -> String,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<(), PlanFileError> {
        if self.live_bytes > self.bytes {
            return Err(PlanFileError::LiveBytes {
                path: format!("{}.live_bytes", path()),
                live_bytes: self.live_bytes,
                bytes: self.bytes,
            });
        }
        // The server plans with such a lock: it is there, and holds. In a file it is more likely a slip of the pen.
        match self.locked_until {
            Some(locked_until) if policy.within_cap(now, locked_until).is_err() => {
                Err(PlanFileError::BeyondCap {
                    path: format!("{}.locked_until", path()),
                    locked_until,
                    cap_days: policy.lock_cap_days,
                })
            }
            _ => Ok(()),
        }
    }
}

fn unique<'a>(
    names: &mut HashSet<&'a str>,
    id: &'a str,
    path: impl Fn() -> String,
) -> Result<(), PlanFileError> {
    if names.insert(id) {
        return Ok(());
    }
    Err(PlanFileError::DuplicateId {
        path: path(),
        id: id.to_owned(),
    })
}

impl ObjectVerdict {
    /// Its name in reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hold { .. } => "hold",
            Self::Refresh { .. } => "refresh",
            Self::AddAgain { .. } => "add_again",
            Self::Copy { .. } => "copy",
            Self::AwaitUnlock { .. } => "await_unlock",
            Self::Delete => "delete",
        }
    }
}
