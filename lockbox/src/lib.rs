//! lockbox: an S3 endpoint with versioning and Object Lock, its data in one folder.
//!
//! For Holdfast's embedded default and for tests. It is at least as strict as AWS about locks,
//! signatures and checksums; where AWS is silent it refuses. HTTP, XML and signatures are the
//! [`s3s`] crate's; what s3s leaves open is closed in front of it and behind it (see the `front`
//! and `gate` modules).
//!
//! # The data folder
//! ```text
//! index.redb        buckets, versions, locks, uploads, parts, and blobs up to 8 KiB (redb)
//! blobs/xx/…        one file per larger object or part, named by a random 128-bit id
//! staging/          files that are being written
//! ```
//! One process owns the folder: redb holds a lock on `index.redb`, a second process is refused.
//!
//! # Durability
//! 1. A body is streamed into `staging/` while its hashes are computed, never as a whole in memory.
//! 2. When it has ended and every declared digest agrees, the file is synced, renamed into `blobs/`,
//!    and the folder is synced.
//! 3. One redb transaction adds the version with its lock, and the blob's name. It is decided there,
//!    in one thread, whether a conditional write or a deletion is allowed. Changes that wait at the
//!    same time share a transaction and its sync.
//! 4. Only then the client gets its answer.
//!
//! Deletion goes the other way: first the transaction, then the file. So after a crash there may be
//! files that the index does not know, never the opposite; the start removes them, and empties
//! `staging/`. Nothing acknowledged is lost, and nothing is ever visible in part.
//!
//! # What it does not do
//! ACLs, policies, tags, encryption by key, lifecycle, replication, event holds and form uploads
//! are refused with an error, never accepted and ignored.

mod body;
mod calls;
mod clock;
mod config;
mod declared;
mod digest;
mod error;
pub mod faults;
mod front;
mod gate;
mod host;
mod keys;
mod lock;
mod rechunk;
mod server;
mod service;
mod store;
mod version;

pub use calls::Calls;
pub use clock::{Clock, ManualClock};
pub use config::{Config, Credentials};
pub use error::Error;
pub use server::{Opened, Running, open, serve};

/// The name under which the embedded server is started: `Lockbox::start(config)`.
pub type Lockbox = Running;
