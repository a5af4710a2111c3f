//! The server against a real Postgres, lockbox and the real agent. `cargo xtask test unit` starts the database.

mod chain;
mod check;
mod commit;
mod contention;
mod groom;
mod rebuild;
mod recover;
mod silent_store;
mod support;
mod sweep;
mod tenancy;
