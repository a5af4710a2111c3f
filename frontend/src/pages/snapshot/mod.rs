//! A snapshot's page.

mod lock_card;
mod page;
mod restore;

pub use page::SnapshotPage;
