//! A small source with two snapshots, made from fixed seeds, with every kind of object in it.

pub mod cbor;
pub mod fixed;
pub mod sample;
pub mod spoil;
pub mod tree;
