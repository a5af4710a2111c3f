//! What agents do, proven by their credentials or an enrollment token.

pub mod caller;
pub mod commit_pages;
pub mod enrollment;
pub mod machines;
pub mod reads;
pub mod restores;
pub mod runs;
mod upload_budget;
mod upload_decision;
pub mod uploads;
