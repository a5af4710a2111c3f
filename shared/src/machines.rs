//! One machine, one agent: whether the calls of an agent come from one machine, or from two that share a copied state folder.
//!
//! A machine is known by what it sends with each call: the ids of its boot and of its installation, hashed, and its host name. Each of
//! them changes by itself, and then the old ones do not come back:
//!
//! | what happens | boot | machine | host name | comes the old one back? |
//! |---|---|---|---|---|
//! | nothing | same | same | same | – |
//! | it is renamed | same | same | other | no |
//! | it is rebooted, or restored from its own backup | other | same | same | no |
//! | it is moved to new hardware, or installed anew | other | other | any | no |
//! | a virtual machine is taken back to a state of its memory | an earlier one | same | same | once |
//! | a copied state folder is used on a second machine | other | any | any | each time the other one calls |
//!
//! So two machines are told by what one cannot do: that the one and the other come back in turns.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::text;

/// So often must the machine change back to the one before it.
const RETURNS: u32 = 2;
/// A machine that has not called for so long is not counted any more.
pub const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// What a call says of the machine that it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Of the state folder, as enrollment made it. A copy has the same.
    pub instance: String,
    /// Hash of the boot's id.
    pub boot: String,
    /// Hash of the installation's id.
    pub machine: String,
    /// The host name, as it is.
    pub hostname: String,
}

/// A machine that called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// Which.
    pub machine: Machine,
    /// When it was first seen.
    pub since: Timestamp,
    /// When it last called.
    pub last: Timestamp,
}

/// What is remembered of the machines of one agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machines {
    /// The one that called last.
    pub current: Option<Caller>,
    /// The one before.
    pub other: Option<Caller>,
    /// How often one of both came back after the other.
    #[serde(default)]
    pub returns: u32,
}

/// What a call shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The same machine, or the first call.
    Same,
    /// The same one under another name.
    Renamed,
    /// The same installation, booted anew.
    Rebooted,
    /// Another installation: new hardware, or a copy of which nothing more is known yet.
    Moved,
    /// The one before is back.
    Returned,
}

impl Machines {
    /// Takes in a call. Gives what is remembered from then on, and what it showed.
    #[must_use]
    pub fn called(mut self, machine: Machine, now: Timestamp) -> (Self, Change) {
        let is_gone = |caller: &Caller| now.duration_since(caller.last) > FORGOTTEN_AFTER;
        if self.other.as_ref().is_some_and(is_gone) {
            (self.other, self.returns) = (None, 0);
        }
        let new = |machine| Caller {
            machine,
            since: now,
            last: now,
        };
        let Some(mut current) = self.current.take() else {
            self.current = Some(new(machine));
            return (self, Change::Same);
        };
        if current.machine == machine {
            current.last = now;
            self.current = Some(current);
            return (self, Change::Same);
        }
        match self.other.take() {
            Some(mut back) if back.machine == machine => {
                back.last = now;
                self.returns = self.returns.saturating_add(1);
                (self.current, self.other) = (Some(back), Some(current));
                (self, Change::Returned)
            }
            _ => {
                let (before, after) = (&current.machine, &machine);
                let change = match (before.machine == after.machine, before.boot == after.boot) {
                    (true, true) => Change::Renamed,
                    (true, false) => Change::Rebooted,
                    (false, _) => Change::Moved,
                };
                (self.current, self.other, self.returns) = (Some(new(machine)), Some(current), 0);
                (self, change)
            }
        }
    }

    /// The two machines that share the agent, the one first that was there first; `None` while there is one.
    #[must_use]
    pub fn two(&self) -> Option<(&Caller, &Caller)> {
        let (current, other) = (self.current.as_ref()?, self.other.as_ref()?);
        if self.returns < RETURNS {
            return None;
        }
        Some(if current.since <= other.since {
            (current, other)
        } else {
            (other, current)
        })
    }

    /// Why the agent is held, with what to do; `None` while there is one machine.
    #[must_use]
    pub fn held(&self) -> Option<String> {
        let (first, second) = self.two()?;
        Some(text::shown(&format!(
            "Two machines use this agent's state folder: {} and, since {:.0}, {}. Nothing is backed up while both do. Stop the agent \
             on the copy, remove its state folder and enroll it as an agent of its own; the other goes on an hour after the copy's \
             last call.",
            first.machine.hostname, second.since, second.machine.hostname
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    /// `boot machine name`, as one letter each.
    fn machine(text: &str) -> Machine {
        let mut parts = text.split(' ').map(str::to_owned);
        Machine {
            instance: "instance".to_owned(),
            boot: parts.next().unwrap(),
            machine: parts.next().unwrap(),
            hostname: parts.next().unwrap(),
        }
    }

    /// Its name, the calls, what each shows, and the two machines that are seen at the end.
    type Case = (
        &'static str,
        &'static [&'static str],
        &'static [Change],
        Option<(String, String)>,
    );

    /// What calls show that come a minute apart, and the names of two machines at the end.
    fn told(calls: &[&str]) -> (Vec<Change>, Option<(String, String)>) {
        let mut machines = Machines::default();
        let mut changes = Vec::new();
        for (minute, call) in (0..).zip(calls) {
            let (next, change) = machines.called(machine(call), at(minute));
            machines = next;
            changes.push(change);
        }
        let name = |caller: &Caller| caller.machine.hostname.clone();
        let two = machines.two().map(|(first, second)| (name(first), name(second)));
        (changes, two)
    }

    #[test]
    fn what_one_machine_can_do_is_told_from_what_two_do() {
        use Change::{Moved, Rebooted, Renamed, Returned, Same};
        let two = Some(("a".to_owned(), "b".to_owned()));
        let cases: [Case; 10] = [
            ("nothing happens", &["1 M a", "1 M a"], &[Same, Same], None),
            (
                "renamed",
                &["1 M a", "1 M b", "1 M b"],
                &[Same, Renamed, Same],
                None,
            ),
            (
                "rebooted, twice",
                &["1 M a", "2 M a", "3 M a"],
                &[Same, Rebooted, Rebooted],
                None,
            ),
            (
                "restored from its own backup",
                &["1 M a", "2 M a", "2 M a"],
                &[Same, Rebooted, Same],
                None,
            ),
            (
                "moved to new hardware",
                &["1 M a", "2 N a", "2 N a"],
                &[Same, Moved, Same],
                None,
            ),
            ("installed anew", &["1 M a", "2 N b"], &[Same, Moved], None),
            (
                "a virtual machine taken back to a state of its memory",
                &["1 M a", "2 M a", "1 M a", "1 M a"],
                &[Same, Rebooted, Returned, Same],
                None,
            ),
            (
                "a copy, two calls each",
                &["1 M a", "2 N b", "1 M a", "2 N b"],
                &[Same, Moved, Returned, Returned],
                two.clone(),
            ),
            (
                "a cloned virtual machine, with the installation's id",
                &["1 M a", "2 M b", "1 M a", "2 M b"],
                &[Same, Rebooted, Returned, Returned],
                two.clone(),
            ),
            (
                "containers of one machine, which share the boot's id",
                &["1 M a", "1 M a", "1 M b", "1 M a", "1 M b"],
                &[Same, Same, Renamed, Returned, Returned],
                two,
            ),
        ];
        for (case, calls, changes, two) in cases {
            assert_eq!(told(calls), (changes.to_vec(), two), "{case}");
        }
    }

    #[test]
    fn a_machine_that_is_gone_for_an_hour_is_forgotten() {
        let mut machines = Machines::default();
        for (minute, call) in (0..).zip(["1 M a", "2 N b", "1 M a", "2 N b"]) {
            machines = machines.called(machine(call), at(minute)).0;
        }
        assert!(machines.two().is_some());
        let (soon, _) = machines.clone().called(machine("1 M a"), at(60));
        assert!(soon.two().is_some());
        // `b` last called at minute 3.
        let mut later = machines;
        for minute in [10, 40, 64] {
            later = later.called(machine("1 M a"), at(minute)).0;
        }
        assert_eq!((later.two(), later.returns), (None, 0));
    }
}
