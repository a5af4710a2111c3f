//! The server against a real Postgres, lockbox and the real agent. `cargo xtask test unit` starts the database.

mod answers;
mod bearers;
mod chain;
mod check;
mod commit;
mod contention;
mod endpoints;
mod forms;
mod groom;
mod large;
mod later;
mod lies;
mod limits;
mod lists;
mod pages;
mod presence;
mod rebuild;
mod recover;
mod s3_answers;
mod silent_store;
mod support;
mod sweep;
mod tenancy;
mod trial;
mod words;

use peak_alloc::PeakAlloc;

/// Counts what this process holds. nextest gives every test a process of its own.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;
