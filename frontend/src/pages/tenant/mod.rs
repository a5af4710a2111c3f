//! One tenant's pages.

pub mod activity;
pub mod agents;
pub mod layout;
pub mod overview;
pub mod snapshots;
pub mod storage;
