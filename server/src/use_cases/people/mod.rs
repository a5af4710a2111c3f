//! What people do in the console and through the REST API.

pub mod backup_sets;
pub mod enrollment_tokens;
pub mod inspect;
pub mod lists;
pub mod notices;
pub mod pages;
pub mod restores;
pub mod runs;
mod s3_errors;
pub mod snapshots;
pub mod sources;
pub mod storage_accounts;
pub mod tenants;
pub mod users;
