//! The pages, a folder or a file each. In a folder `page` is the page itself, `form` its form and `table` its table.

pub mod backup_set;
pub mod new_backup_set;
pub mod new_source;
pub mod new_storage_account;
pub mod not_found;
pub mod run;
pub mod sign_in;
pub mod snapshot;
pub mod tenant;
pub mod tenants;
