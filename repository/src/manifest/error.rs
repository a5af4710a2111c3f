//! Why a manifest cannot be written or read.

use shared::ids::SourceId;

use crate::{
    identity::IdentityError, object_list::ListError, seal::SealError, tree::TreeError, wire::WireError,
};

/// Why a manifest cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The bytes are not a manifest.
    #[error("manifest: {0}")]
    Wire(#[from] WireError),
    /// The signature, the certificate or the key behind them.
    #[error("manifest: {0}")]
    Identity(#[from] IdentityError),
    /// Signed by another key than the one expected.
    #[error("the manifest is signed by another agent key ({found}) than the expected one")]
    OtherSigner {
        /// The key in the manifest.
        found: String,
    },
    /// The sealed part does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A path's entry is not one.
    #[error("manifest: {0}")]
    Tree(#[from] TreeError),
    /// The object list.
    #[error(transparent)]
    List(#[from] ListError),
    /// A manifest of another source, put in this one's place.
    #[error("the manifest is of {found}, not of {expected}: somebody has put it in another one's place")]
    OtherSource {
        /// Whose it is.
        found: SourceId,
        /// Whose was expected.
        expected: SourceId,
    },
}
