//! What the tests share: endpoints without a server, agents with one, trees of files, buckets with damage.

pub mod bucket;
pub mod endpoint;
pub mod enrolled;
pub mod harm;
pub mod server;
pub mod tree;
pub mod versions;
pub mod world;
