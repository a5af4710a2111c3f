//! What speaks S3 in a stack.

/// What speaks S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Endpoint {
    /// This project's own
    Lockbox,
    /// Ceph's gateway, a whole cluster in one folder
    Ceph,
}

impl Endpoint {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lockbox => "lockbox",
            Self::Ceph => "Ceph's gateway",
        }
    }
}
