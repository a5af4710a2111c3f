//! What the server does by itself, and what the use cases of people and agents have in common with its jobs.

pub mod again;
pub mod confirm;
pub mod first_operator;
pub mod protection;
pub mod refused_sign_ins;
pub mod restores;
pub mod runs;
