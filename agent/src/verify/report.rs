//! What a verification found.

use crate::snapshot::Finding;

/// What a verification found.
#[derive(Debug, Default)]
pub struct Report {
    /// What is not as it should be.
    pub findings: Vec<Finding>,
    /// Snapshots that were looked at.
    pub snapshots: u64,
    /// Objects that were looked at.
    pub objects: u64,
    /// Bytes that were read and compared with their hashes.
    pub bytes_read: u64,
}

impl Report {
    /// Whether nothing that is needed is lost, or may be lost early.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        !self.findings.iter().any(|finding| finding.defect.is_damage())
    }
}
