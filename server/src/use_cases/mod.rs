//! What is done, by who acts: people through the console and the REST API, agents through theirs, and the server by itself. The
//! routes and the jobs are thin shims over these functions; each opens its own short transactions and holds none across a call to
//! S3.
//!
//! `people` and `agents` do not know each other: what both need is in `system`, or here.

pub mod agents;
mod input;
pub mod people;
pub mod system;
pub mod views;
