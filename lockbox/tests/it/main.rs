//! lockbox over HTTP, as the SDK and as hand-made requests meet it.

mod bodies;
mod faults;
mod large;
mod listing;
mod lock_requests;
mod locks;
mod multipart;
mod objects;
mod process;
mod signatures;
mod support;
mod versions;
