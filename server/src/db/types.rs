//! Column types, and the small conversions between what Postgres keeps and the words of the code.

use jiff::Timestamp;
use sea_orm::{DbErr, DeriveValueType, prelude::TimeDateTimeWithTimeZone};
use serde::{Serialize, de::DeserializeOwned};

use super::error::DbError;

/// A `timestamptz`. sea-orm's own jiff support fails on Postgres parameters, so the `time` crate's type carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, DeriveValueType)]
pub struct At(TimeDateTimeWithTimeZone);

impl TryFrom<Timestamp> for At {
    type Error = DbError;

    fn try_from(at: Timestamp) -> Result<Self, DbError> {
        TimeDateTimeWithTimeZone::from_unix_timestamp_nanos(i128::from(at.as_microsecond()) * 1_000)
            .map(Self)
            .map_err(|_| DbError::corrupt("a time", "outside of what the database keeps"))
    }
}

impl TryFrom<At> for Timestamp {
    type Error = DbError;

    fn try_from(At(at): At) -> Result<Self, DbError> {
        Self::from_nanosecond(at.unix_timestamp_nanos())
            .map_err(|_| DbError::corrupt("a time", "outside of what this program knows"))
    }
}

/// [`Timestamp`] from an optional column.
pub fn optional_time(at: Option<At>) -> Result<Option<Timestamp>, DbError> {
    at.map(TryInto::try_into).transpose()
}

/// The `jsonb` form of a value.
pub fn to_json(value: &impl Serialize) -> Result<serde_json::Value, DbError> {
    serde_json::to_value(value).map_err(|error| DbErr::Json(error.to_string()).into())
}

/// A value from its `jsonb` form.
pub fn from_json<T: DeserializeOwned>(what: &'static str, value: serde_json::Value) -> Result<T, DbError> {
    serde_json::from_value(value).map_err(|error| DbError::corrupt(what, error))
}

/// The text form of a unit enum: the word that serde gives it.
pub fn to_text(value: &impl Serialize) -> Result<String, DbError> {
    match to_json(value)? {
        serde_json::Value::String(text) => Ok(text),
        other => Err(DbError::corrupt("a word", other)),
    }
}

/// A unit enum from its text form.
pub fn from_text<T: DeserializeOwned>(what: &'static str, text: String) -> Result<T, DbError> {
    from_json(what, serde_json::Value::String(text))
}

/// A count or size that the code keeps unsigned.
pub fn unsigned(what: &'static str, value: i64) -> Result<u64, DbError> {
    u64::try_from(value).map_err(|_| DbError::corrupt(what, value))
}

/// A count or size for a `bigint` column.
pub fn signed(what: &'static str, value: u64) -> Result<i64, DbError> {
    i64::try_from(value).map_err(|_| DbError::corrupt(what, value))
}

/// A fixed-length `bytea`.
pub fn bytes32(what: &'static str, bytes: &[u8]) -> Result<[u8; 32], DbError> {
    bytes
        .try_into()
        .map_err(|_| DbError::corrupt(what, "not 32 bytes"))
}
