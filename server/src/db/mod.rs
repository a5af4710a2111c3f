//! The database: the only module that speaks SQL.
//!
//! One transaction per use case, and none is held across a call to S3 or to a browser. A [`TenantTx`] sees one
//! tenant's rows; it can be opened only with a [`TenantScope`], which only authorisation can make. An
//! [`InstanceTx`] sees users, sessions, the list of tenants and the job queue, and nothing that a tenant stores.
//!
//! Row locks are taken in one order, everywhere: rows that belong to no source; **one** source's row
//! ([`Db::of_source`]); what belongs to that source (runs, snapshots, objects, restores, sweeps), which nobody changes
//! without holding the source's row; jobs. See [`order`].

pub mod absence;
pub mod agents;
pub mod audit;
pub mod backup_sets;
pub mod bearers;
mod bound;
pub mod checks;
pub mod commit_pages;
pub mod confirmed;
mod connect;
pub mod due;
pub mod enrollment;
mod entity;
pub mod epoch;
mod error;
mod grants;
pub mod groom;
pub mod jobs;
pub mod ledger;
pub mod lists;
pub mod needed;
pub mod notices;
pub mod order;
mod pool;
mod query;
pub mod rebuild;
pub mod restores;
pub mod runs;
mod scram;
#[cfg(test)]
mod scratch;
pub mod sessions;
pub mod set_sums;
pub mod short;
pub mod snapshots;
pub mod sources;
pub mod storage_accounts;
pub mod sweeps;
pub mod tenants;
mod tx;
mod types;
pub mod users;

pub use connect::{CONNECTIONS, LOOK_UPS};
pub use error::DbError;
pub(in crate::db) use pool::insert;
pub use pool::{Db, InstanceTx, TenantTx, UserTx};
