//! The form for a backup set.

mod advanced_fields;
mod bucket_fields;
mod form;
mod page;
mod recovery_fields;
mod retention_fields;

pub use page::NewBackupSetPage;
