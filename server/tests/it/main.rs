//! The server against a real Postgres, lockbox and the real agent. `cargo xtask test unit` starts the database.

mod chain;
mod check;
mod commit;
mod groom;
mod lies;
mod rebuild;
mod recover;
mod s3_answers;
mod support;
mod sweep;
mod tenancy;
