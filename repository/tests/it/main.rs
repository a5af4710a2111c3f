//! The format from outside: golden repositories, damage, and what is sealed to whom.

mod damage;
mod golden;
#[path = "../../../shared/tests/it/rounds.rs"]
mod rounds;
mod sealing;
mod support;

use peak_alloc::PeakAlloc;

/// Counts the bytes that this process holds. nextest gives every test a process of its own.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;
