//! A snapshot's page.

mod lock_card;
mod page;
mod restore;
mod review;

pub use page::SnapshotPage;
