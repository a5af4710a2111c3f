//! A backup set's page.

mod bucket;
mod enroll;
mod facts;
mod page;

pub use page::BackupSetPage;
