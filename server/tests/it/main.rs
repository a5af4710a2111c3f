//! The server against a real Postgres, lockbox and the real agent. `cargo xtask test unit` starts the database.

mod again;
mod anomaly;
mod answers;
mod bearers;
mod bound;
mod cancel;
mod chain;
mod check;
mod commit;
mod contention;
mod doors;
mod endpoints;
mod enrollment;
mod forms;
mod groom;
mod large;
mod later;
mod lies;
mod limits;
mod lists;
mod machines;
mod mixed_faults;
mod pages;
mod permissions;
mod presence;
mod reads;
mod rebuild;
mod recover;
mod sign_in;
mod silent_store;
mod source_options;
mod storage_hosts;
mod support;
mod sweep;
mod tenancy;
mod trial;
mod typed;
mod uploads;
mod words;

use peak_alloc::PeakAlloc;

/// Counts what this process holds. nextest gives every test a process of its own.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;
