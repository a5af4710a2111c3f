//! The server's way to its tenants' stores: the client of the crate `bucket`, held to the instance's rule for addresses and put behind
//! each account's breaker.

pub mod address;
mod connect;
mod guarded;

pub use bucket::{
    Bounds, BucketState, Conditional, Deletion, Endpoint, KeyVersion, Listed, Lock, ObjectStore, PageMarker,
    S3Error, SignPut, Signed, VersionHead, VersionName, VersionPage, Walk, content_md5, each_page,
    versions_of_key,
};
pub use connect::connect;
pub use guarded::Guarded;
