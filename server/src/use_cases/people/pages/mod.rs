//! What the pages of a tenant show: one query a page.

pub mod agents;
pub mod backup_set;
pub mod overview;
pub mod storage;
