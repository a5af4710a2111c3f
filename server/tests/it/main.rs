//! The server against a real Postgres, lockbox and the real agent. `cargo xtask test unit` starts the database.

mod answers;
mod chain;
mod check;
mod commit;
mod groom;
mod presence;
mod later;
mod rebuild;
mod recover;
mod support;
mod sweep;
mod tenancy;
