//! What each page of the console asks for.

pub mod agents;
pub mod backup_set;
pub mod overview;
pub mod snapshot;
pub mod storage;
