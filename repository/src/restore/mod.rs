//! What a recovery kit gives out for one restore, so that the kit itself stays where it is: a **grant** with the keys
//! of the packs that the restore needs and no others, and a signed **order** that says what to do with them.
//!
//! Whoever holds the kit reads the snapshot's listings, chooses what is wanted, opens the headers of the packs that
//! hold it, seals their keys to the target agent's restore key ([`Grant::seal`]) and signs the order that names the
//! grant by its hash ([`RestoreOrder::sign`]). Both travel through the server, which can read the order and change
//! neither. The agent does what [`RestoreOrder::open`] accepts, with what [`Grant::open`] gives.
//!
//! Neither is an object of the bucket.

mod grant;
mod order;

pub use grant::{Grant, GrantedPack};
pub(crate) use grant::{frame, sealed};
pub use order::{Destination, Overwrite, Recipient, RestoreOrder};

use jiff::Timestamp;
use shared::ids::AgentId;

use crate::{recovery::Fingerprint, seal::SealError, tree::TreeError, wire::WireError};

/// Why an order or a grant is not acted on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The bytes are not an order or a grant.
    #[error("restore order or grant: {0}")]
    Wire(#[from] WireError),
    /// An order by another kit.
    #[error(
        "the restore order is for the recovery key {found}, but this endpoint's backups are sealed to {expected}"
    )]
    OtherKit {
        /// The fingerprint that the order names.
        found: Fingerprint,
        /// This backup set's.
        expected: Fingerprint,
    },
    /// The signature is not the kit's.
    #[error("the restore order is forged or was changed: the recovery kit has not signed it")]
    Forged,
    /// An order for another agent.
    #[error("the restore order is for {0}, not for this agent")]
    OtherAgent(AgentId),
    /// An order for a key that the agent does not have, or no longer.
    #[error(
        "the restore order is for another restore key than this agent has now: an order is good for one restore, and \
         this one was carried out or never meant for it; ask for a new one"
    )]
    OtherRestoreKey,
    /// Too late.
    #[error("the restore order expired at {0}: ask for a new one")]
    Expired(Timestamp),
    /// Too early: one of the two clocks is wrong, and then the expiry means nothing.
    #[error("the restore order was signed at {0}, which is in this endpoint's future: set its clock right")]
    FromTheFuture(Timestamp),
    /// Another grant than the order names.
    #[error("the grant is not the one that the restore order names")]
    OtherGrant,
    /// The grant does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A root that is none.
    #[error("restore grant: {0}")]
    Tree(#[from] TreeError),
}

#[cfg(test)]
mod tests;
