//! Who is signed in.

use serde::{Deserialize, Serialize};

use crate::ids::UserId;

/// Who is signed in. `GET /api/v1/me`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    /// The user.
    pub id: UserId,
    /// Their e-mail address.
    pub email: String,
    /// Whether they run this instance and see every tenant.
    pub operator: bool,
}
