//! Verification: whether what snapshots need is there, is what it should be, and stays as long as promised. Without the
//! kit that is hashes, lengths, frames and locks; with it, everything is opened as well, and damage is told in names of
//! files.

mod audit;
mod bucket_listing;
mod depth;
mod lookup;
mod report;
mod served;
mod snapshots;
mod state;
mod tree;

pub use crate::snapshot::{Defect, Finding, Subject};
pub use depth::Depth;
pub use report::Report;
pub use served::{Verification, verify_served};
pub use snapshots::{Options, verify_snapshot, verify_source};
pub use state::{StateCheckError, verify_state};
