//! A server that lies, and a storage that answers something else than it is asked: what was asked for is put back, or
//! nothing is, and no answer is taken for damage.

mod answers;
mod later;
mod snapshot;
mod steps;
