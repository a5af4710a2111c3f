//! When something happens: runs, sweeps, and the ends of days.

use jiff::{SignedDuration, Timestamp};

use super::{error::SimulateError, simulation::Simulation};
use crate::retention::later;

/// Seconds since 1970.
pub(super) type Secs = i64;

pub(super) const DAY: Secs = 86_400;

/// What happens at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// A day is over: its figures are taken before anything that happens at the same instant, which belongs to the next day.
    DayEnds,
    /// A run that does not come.
    Missed,
    /// A run: sweep, backup, commit, sweep. Whether its snapshot is clean.
    Run { clean: bool },
    /// A sweep between runs.
    Sweep,
}

/// Everything that happens, in its order.
pub(super) struct Calendar {
    /// All scheduled instants from the beginning to the first one that no rule asks for any more.
    occurrences: Vec<Secs>,
    /// The longest distance of two of them.
    pub interval: Option<SignedDuration>,
    pub start: Secs,
    pub instants: Vec<(Secs, What)>,
}

impl Calendar {
    pub fn new(simulation: &Simulation) -> Result<Self, SimulateError> {
        let start = simulation.horizon.start.as_second();
        let end = start + DAY * Secs::from(simulation.horizon.days);
        let (occurrences, scheduled) = occurrences(simulation, start, end)?;
        let interval = scheduled.then(|| {
            let longest = occurrences.windows(2).map(|pair| pair[1] - pair[0]).max();
            SignedDuration::from_secs(longest.unwrap_or(DAY))
        });

        let mut instants: Vec<(Secs, What)> = (0..)
            .zip(1u32..)
            .map_while(|(at, number)| {
                let due = occurrences.get::<usize>(at).filter(|due| **due < end)?;
                let (missed, unclean) = (&simulation.workload.missed, &simulation.workload.unclean);
                let run = What::Run {
                    clean: !unclean.contains(number),
                };
                Some((
                    *due,
                    if missed.contains(number) {
                        What::Missed
                    } else {
                        run
                    },
                ))
            })
            .collect();
        instants
            .extend((1..=simulation.horizon.days).map(|day| (start + DAY * Secs::from(day), What::DayEnds)));
        let every = simulation.policy.sweep_every().as_secs().max(1);
        let mut sweep = start;
        while sweep < end {
            instants.push((sweep, What::Sweep));
            sweep += every;
        }
        instants.sort_unstable();
        // A run sweeps.
        instants.dedup_by(|later, earlier| {
            later.0 == earlier.0 && matches!(earlier.1, What::Run { .. }) && later.1 == What::Sweep
        });
        Ok(Self {
            occurrences: if scheduled { occurrences } else { Vec::new() },
            interval,
            start,
            instants,
        })
    }

    /// The first scheduled instant after `after`; `None` without a schedule.
    pub fn next_due(&self, after: Secs) -> Option<Secs> {
        let next = self.occurrences.partition_point(|due| *due <= after);
        self.occurrences.get(next).copied()
    }
}

/// The instants at which runs are due, two days past the end and one more; whether they follow a schedule. Without one there is
/// one run, at the start.
fn occurrences(simulation: &Simulation, start: Secs, end: Secs) -> Result<(Vec<Secs>, bool), SimulateError> {
    let at = |secs| Timestamp::from_second(secs).unwrap_or(Timestamp::MAX);
    let mut occurrences = Vec::new();
    let mut next = simulation.schedule.next_after(at(start - 1))?;
    while let Some(due) = next {
        occurrences.push(due.as_second());
        if due > later(at(end), SignedDuration::from_hours(48)) {
            return Ok((occurrences, true));
        }
        next = simulation.schedule.next_after(due)?;
    }
    occurrences.push(start);
    Ok((occurrences, false))
}
