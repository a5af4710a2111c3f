//! The wire shapes: what agents say to the server, and what the automation API and the console show.

pub mod agent;
pub mod commit;
pub mod list;
pub mod notice;
#[cfg(feature = "schedule")]
pub mod operation;
#[cfg(feature = "schedule")]
pub mod operations;
pub mod reads;
pub mod report;
#[cfg(feature = "schedule")]
pub mod request;
#[cfg(feature = "schedule")]
pub mod view;

use serde::{Deserialize, Serialize};

/// The body of every error answer below `/api/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// A stable word for programs, such as `not_found` or `bucket_not_lockable`.
    pub code: String,
    /// A sentence for people that says what is wrong and what to do.
    pub message: String,
}
