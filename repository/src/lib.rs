//! Holdfast's on-bucket format: what stands in every object below a backup set's prefix, and how it is sealed.
//!
//! Pure by rule: no I/O, no clock, no operating system's randomness. `now` never occurs, and whoever seals passes
//! a random source in, so that a test can repeat it. The crate compiles to native code and to wasm32 alike: a
//! browser that holds a recovery kit can open what an agent sealed.
//!
//! `docs/FORMAT.md` is normative; the module that writes a structure is named there.

pub mod chunk;
pub mod commit;
pub mod compress;
pub mod decoders;
pub mod further;
mod gcm;
mod hedge;
pub mod identity;
pub mod index;
pub mod kit;
pub mod layout;
pub mod manifest;
pub mod object_list;
pub mod owners;
pub mod pack;
mod padding;
pub mod recovery;
pub mod restore;
mod seal;
#[cfg(test)]
mod test_random;
pub mod tree;
mod wire;

pub use seal::SealError;
pub use wire::WireError;

use shared::object::ObjectHash;

/// BLAKE3 of an object's whole content: its name in the bucket.
#[must_use]
pub fn hash(bytes: &[u8]) -> ObjectHash {
    ObjectHash::from_bytes(*blake3::hash(bytes).as_bytes())
}
