//! The server against a real Postgres, lockbox and the real agent. `cargo xtask test unit` starts the database.

mod chain;
mod commit;
mod support;
mod tenancy;
