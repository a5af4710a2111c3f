//! What a stack is made from.

use std::path::PathBuf;

use super::{endpoint::Endpoint, secrets::Secrets};

/// What a stack is made from.
pub struct Plan {
    /// Everything that it keeps is in here.
    pub folder: PathBuf,
    /// Passwords and keys.
    pub secrets: Secrets,
    /// The console's port.
    pub server_port: u16,
    /// What speaks S3.
    pub endpoint: Endpoint,
    /// Its port.
    pub s3_port: u16,
    /// An existing database instead of a private cluster.
    pub database_url: Option<String>,
    /// Whether the database must survive a power cut.
    pub durable: bool,
}
