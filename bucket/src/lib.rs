//! The S3 client of the server, of the agent's `recover` and of xtask's story: how the SDK's client is made, which answers count,
//! listings with an end, reads, and, with the feature `store`, signing, locks and the deletion of named versions.
//!
//! No call overwrites an object, deletes without naming a version, or bypasses a lock. Whoever needs such a request (the story's
//! attack) makes it on the SDK's client, which the feature `raw` gives.

mod answers;
mod client;
mod config;
mod connect;
mod error;
mod head;
mod list;
mod range;
mod read;
mod version;
mod walk;

#[cfg(feature = "contract")]
pub mod contract;
#[cfg(feature = "store")]
mod date;
#[cfg(feature = "store")]
mod delete;
#[cfg(feature = "store")]
mod sign;
#[cfg(feature = "store")]
mod store;

pub use client::S3Client;
pub use config::{Config, Endpoint, Retries, Throttle, Timeouts, WallClock};
pub use connect::{ConnectRule, Route};
#[cfg(feature = "store")]
pub use delete::Deletion;
pub use error::S3Error;
pub use list::{ListRequest, PAGE_ENTRIES};
pub use range::RangeBody;
pub use read::{ReadRequest, content_md5};
#[cfg(feature = "store")]
pub use sign::{SignPut, Signed};
#[cfg(feature = "store")]
pub use store::{BucketState, Conditional, ObjectStore};
pub use version::{Listed, Lock, PageMarker, VersionHead, VersionName, VersionPage};
pub use walk::{Bounds, Walk};
#[cfg(feature = "store")]
pub use walk::{KeyVersion, each_page, versions_of_key};
