//! Sign-ins that were refused, counted for the audit log: one event an hour, which has nothing of what strangers typed.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use shared::ids::UserId;

/// For how long refusals are counted together.
pub const COUNTED: SignedDuration = SignedDuration::from_hours(1);
/// So many users are told of by name in an event; the others only count.
const USERS: usize = 20;

/// Why a sign-in was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// E-mail address or password is wrong.
    Wrong,
    /// A budget is used up.
    OverBudget,
    /// Too many passwords wait to be checked.
    Busy,
}

/// What was refused in one stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Since when.
    pub since: Timestamp,
    wrong: u64,
    over_budget: u64,
    busy: u64,
    users: BTreeMap<UserId, u64>,
}

impl Counted {
    /// For the audit log.
    #[must_use]
    pub fn detail(&self) -> serde_json::Value {
        let users: serde_json::Map<String, serde_json::Value> = self
            .users
            .iter()
            .map(|(user, count)| (user.to_string(), (*count).into()))
            .collect();
        serde_json::json!({
            "since": self.since, "wrong": self.wrong, "over_budget": self.over_budget, "busy": self.busy,
            "of_users": users,
        })
    }
}

/// The refusals that are not in the audit log yet.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Option<Counted>>);

impl Refusals {
    /// Counts one, of this user if there is one of the name that was typed.
    pub fn count(&self, refusal: Refusal, user: Option<UserId>, now: Timestamp) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = counted.get_or_insert_with(|| Counted {
            since: now,
            wrong: 0,
            over_budget: 0,
            busy: 0,
            users: BTreeMap::new(),
        });
        match refusal {
            Refusal::Wrong => counted.wrong += 1,
            Refusal::OverBudget => counted.over_budget += 1,
            Refusal::Busy => counted.busy += 1,
        }
        if let Some(user) = user
            && (counted.users.len() < USERS || counted.users.contains_key(&user))
        {
            *counted.users.entry(user).or_default() += 1;
        }
    }

    /// Takes what has been counted for an hour, or everything.
    #[must_use]
    pub fn take(&self, now: Timestamp, everything: bool) -> Option<Counted> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.take_if(|counted| everything || now.duration_since(counted.since) >= COUNTED)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_hour_is_one_count() {
        let refusals = Refusals::default();
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let user = |of: u128| UserId::from_uuid(Uuid::from_u128(of));
        assert_eq!(refusals.take(start, true), None);
        for nth in 0..100 {
            let now = start + SignedDuration::from_secs(nth);
            refusals.count(Refusal::Wrong, None, now);
            refusals.count(Refusal::OverBudget, Some(user(nth.unsigned_abs().into())), now);
            assert_eq!(refusals.take(now, false), None);
        }
        refusals.count(Refusal::Busy, Some(user(0)), start);
        let counted = refusals.take(start + COUNTED, false).unwrap();
        assert_eq!(counted.since, start);
        let detail = counted.detail();
        assert_eq!(
            (&detail["wrong"], &detail["over_budget"], &detail["busy"]),
            (&100.into(), &100.into(), &1.into())
        );
        assert_eq!(detail["of_users"].as_object().unwrap().len(), USERS);
        assert_eq!(detail["of_users"][user(0).to_string()], 2);
        assert_eq!(refusals.take(start + COUNTED, true), None);
    }
}
