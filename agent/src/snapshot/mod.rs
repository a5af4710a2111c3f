//! A snapshot, opened and read from any source of objects: manifest and commit record, where its chunks lie, its tree, and what of it
//! is damaged. Restores, verifications and recoveries are built on it.

mod addresses;
mod chunk_index;
mod damage;
mod error;
mod finding;
mod listings;
mod location;
mod opened;
mod origin;
mod other_packs;
mod pack_reads;
mod remote;
mod select;
mod served;
mod tree;
mod tree_reader;
mod trust;

pub use chunk_index::ChunkIndex;
pub(crate) use damage::Failure;
pub use damage::{Fault, Loss, Reason};
pub use error::SnapshotError;
pub use finding::{Defect, Finding, Subject};
pub(crate) use listings::Listings;
pub use opened::Snapshot;
pub use origin::{Expected, Named, Origin, Unexpected};
pub(crate) use served::Served;
pub use tree::{Item, Metadata, Tree, What};
