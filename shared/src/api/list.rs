//! Lists that grow: snapshots, runs and restores of a tenant, a page at a time, newest first.
//!
//! A page begins behind an entry and not behind a number of entries: what comes in meanwhile moves nothing from one page to
//! another.

use std::{fmt, str::FromStr};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use crate::{ids::SourceId, limits::Limit};

/// A place in a list: its entries are ordered by time, and by id where the time is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The entry's time, to the microsecond.
    pub at: Timestamp,
    /// The entry's id.
    pub id: Uuid,
}

/// The text is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a place in a list is what the page before names in `older` or `newer`")]
pub struct NotAPlace;

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.at.as_microsecond(), self.id.simple())
    }
}

impl FromStr for Place {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        let (at, id) = text.split_once('_').ok_or(NotAPlace)?;
        let at = at
            .parse()
            .ok()
            .and_then(|at| Timestamp::from_microsecond(at).ok());
        Ok(Self {
            at: at.ok_or(NotAPlace)?,
            id: Uuid::try_parse(id).map_err(|_| NotAPlace)?,
        })
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Which part of a list: the query of `GET /api/v1/tenants/{tenant}/snapshots`, `…/runs` and `…/restores`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Only of this source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceId>,
    /// Not before this day, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Date>,
    /// Not after this day, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Date>,
    /// Only what is older than this place: the newest of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older: Option<Place>,
    /// Only what is newer than this place: the oldest of it. Not together with `older`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newer: Option<Place>,
    /// So many at most: [`DEFAULT_LIMIT`] when it is not said, [`Limit::ListPage`] at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Snapshots: also those that have expired.
    #[serde(default)]
    pub expired: bool,
}

/// Entries of a page when nothing is said.
pub const DEFAULT_LIMIT: u32 = 25;

/// Why a query cannot be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListQueryError {
    /// Both directions.
    #[error("older: name a place to go on from in one direction, older or newer")]
    TwoPlaces,
    /// Nothing lies between the days.
    #[error("from: this day is after the day in `to`")]
    NoDays,
    /// Too many, or none.
    #[error("limit: ask for 1 to {} entries", Limit::ListPage.max())]
    TooMany,
}

impl ListQueryError {
    /// The field that it is about.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::TwoPlaces => "older",
            Self::NoDays => "from",
            Self::TooMany => "limit",
        }
    }
}

impl ListQuery {
    /// Checks what the types allow and nobody can mean.
    ///
    /// # Errors
    /// See [`ListQueryError`].
    pub fn validate(&self) -> Result<(), ListQueryError> {
        if self.older.is_some() && self.newer.is_some() {
            return Err(ListQueryError::TwoPlaces);
        }
        if self.from.zip(self.to).is_some_and(|(from, to)| from > to) {
            return Err(ListQueryError::NoDays);
        }
        match self.limit {
            Some(limit) if limit == 0 || limit as usize > Limit::ListPage.max() => {
                Err(ListQueryError::TooMany)
            }
            _ => Ok(()),
        }
    }

    /// The first instant of `from`.
    #[must_use]
    pub fn begin(&self) -> Option<Timestamp> {
        self.from.and_then(start_of)
    }

    /// The first instant after `to`; none where the calendar ends.
    #[must_use]
    pub fn end(&self) -> Option<Timestamp> {
        self.to.and_then(|day| start_of(day.tomorrow().ok()?))
    }

    /// Entries at most.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }
}

fn start_of(day: Date) -> Option<Timestamp> {
    Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// A page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Where older ones begin, if there are any.
    pub older: Option<Place>,
    /// Where newer ones begin, if there are any.
    pub newer: Option<Place>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let place = Place {
            at: "2026-11-23T12:00:00.123456Z".parse().unwrap(),
            id: Uuid::from_u128(7),
        };
        assert_eq!(place.to_string().parse(), Ok(place));
        for wrong in [
            "",
            "_",
            "1_",
            "x_00000000000000000000000000000007",
            "99999999999999999999_7",
        ] {
            assert_eq!(wrong.parse::<Place>(), Err(NotAPlace), "{wrong}");
        }
    }

    #[test]
    fn days_are_whole_and_in_utc() {
        let query = ListQuery {
            from: Some("2026-11-23".parse().unwrap()),
            to: Some("2026-11-23".parse().unwrap()),
            ..ListQuery::default()
        };
        assert_eq!(query.validate(), Ok(()));
        assert_eq!(query.begin().unwrap().to_string(), "2026-11-23T00:00:00Z");
        assert_eq!(query.end().unwrap().to_string(), "2026-11-24T00:00:00Z");
        let last = ListQuery {
            to: Some(Date::MAX),
            ..ListQuery::default()
        };
        assert_eq!(last.end(), None);
    }

    #[test]
    fn what_nobody_can_mean_is_refused() {
        let place = "7_00000000000000000000000000000007".parse().ok();
        let refused = |change: fn(&mut ListQuery, Option<Place>)| {
            let mut query = ListQuery::default();
            change(&mut query, place);
            query.validate().unwrap_err().field()
        };
        let two_places = |query: &mut ListQuery, place| (query.older, query.newer) = (place, place);
        assert_eq!(refused(two_places), "older");
        assert_eq!(refused(|query, _| query.limit = Some(0)), "limit");
        assert_eq!(refused(|query, _| query.limit = Some(101)), "limit");
        assert_eq!(
            refused(|query, _| {
                query.from = "2026-11-24".parse().ok();
                query.to = "2026-11-23".parse().ok();
            }),
            "from"
        );
    }
}
