//! The pages, one a file.

pub mod backup_set;
pub mod new_backup_set;
pub mod new_source;
pub mod new_storage_account;
pub mod not_found;
pub mod overview;
pub mod run;
pub mod sign_in;
pub mod snapshot;
pub mod tenant;
