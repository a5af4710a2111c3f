//! The agent against a bucket in memory, and against a server and a storage on a loopback port.

mod acl;
mod adopt;
mod answers;
mod blind;
mod bounds;
mod command_line;
mod damage;
mod hang;
mod history;
mod hostile;
mod kill;
mod left_out;
mod lies;
mod links;
mod memory;
mod preview;
mod protocol;
mod reads;
mod recover;
mod restore;
mod resume;
#[path = "../../../shared/tests/it/rounds.rs"]
mod rounds;
mod roundtrip;
mod s3_ranges;
mod second_version;
mod state_damage;
mod storage_hosts;
mod support;
mod takes;
mod unstable_inodes;

use peak_alloc::PeakAlloc;

/// Counts the bytes that this process holds. nextest gives every test a process of its own.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;
