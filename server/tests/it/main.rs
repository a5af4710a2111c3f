//! The server against a real Postgres, lockbox and the real agent. `cargo xtask test unit` starts the database.

mod bearers;
mod chain;
mod check;
mod commit;
mod endpoints;
mod groom;
mod limits;
mod rebuild;
mod recover;
mod support;
mod sweep;
mod tenancy;
