//! Holdfast's common words: ids, policies, schedules, lock dates and the types of the API.
//!
//! Pure by rule: no I/O, no clock, no randomness, no async. `now` is a parameter wherever time matters, and
//! the crate compiles to native code and to wasm32 alike, so that the console, the server and the agent
//! compute the same dates from the same code.

pub mod anomaly;
pub mod api;
pub mod excludes;
pub mod ids;
#[cfg(feature = "schedule")]
pub mod input;
pub mod limits;
pub mod machines;
pub mod object;
pub mod retention;
pub mod s3_refusal;
#[cfg(feature = "schedule")]
pub mod schedule;
pub mod source_paths;
pub mod text;
pub mod time_zone;
pub mod words;
