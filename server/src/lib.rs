//! Holdfast's server: the API for agents and automation, the console, the jobs, and the only holder of bucket
//! credentials. See `docs/ARCHITECTURE.md` for the picture.

pub mod app;
pub mod breaker;
pub mod client_address;
pub mod clock;
pub mod clocks;
pub mod connections;
pub mod db;
pub mod epoch;
pub mod error;
pub mod first_password;
pub mod http;
pub mod jobs;
pub mod live;
pub mod long_polls;
pub mod planning;
pub mod presence;
pub mod random;
pub mod rebuild;
pub mod s3;
pub mod scope;
pub mod secrets;
pub mod serve;
pub mod sign_in;
pub mod source_listing;
pub mod use_cases;
