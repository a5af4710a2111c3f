//! Leave to touch one tenant's data.

use shared::ids::TenantId;

/// Leave to touch one tenant's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantScope(TenantId);

impl TenantScope {
    /// For who was authorised.
    pub(super) fn new(tenant: TenantId) -> Self {
        Self(tenant)
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.0
    }
}
