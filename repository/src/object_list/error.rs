//! Why an object list is refused.

use shared::object::ObjectHash;

use crate::wire::WireError;

/// Pages that a list names, at most: with 65,536 entries each, far more than any source needs. Readers hold what all of them
/// say in memory.
pub const MAX_PAGES: usize = 1_024;

/// Why an object list is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// The bytes are not a list or a page of one.
    #[error("object list: {0}")]
    Wire(#[from] WireError),
    /// Objects out of order, twice, both added and dropped, or of a kind that does not belong there.
    #[error("object list: it is out of order, repeats an object, or lists a wrong kind")]
    Malformed,
    /// Another object than the page that the manifest names.
    #[error("object list: what was read is not the page {page}")]
    OtherPage {
        /// The page that was expected.
        page: ObjectHash,
    },
    /// An object is dropped that nothing before added.
    #[error("object list: it drops {hash}, which is not in it")]
    DropOfAbsent {
        /// The object.
        hash: ObjectHash,
    },
    /// An object is added that is there.
    #[error("object list: it adds {hash}, which is in it already")]
    AddOfPresent {
        /// The object.
        hash: ObjectHash,
    },
    /// A layer's pages do not hold what the manifest says of the layer.
    #[error("object list: the pages of layer {layer} do not hold what the manifest says of it")]
    OtherLayer {
        /// Its number, from 0, the oldest.
        layer: usize,
    },
    /// More pages than any list has.
    #[error("object list: {pages} pages are more than the {MAX_PAGES} of the longest list")]
    TooLong {
        /// How many it names.
        pages: usize,
    },
    /// More or fewer pages were given than the manifest names.
    #[error("object list: not exactly the pages that the manifest names were read")]
    OtherPages,
    /// The set is not that of the root.
    #[error("object list: it does not come to the set that the manifest's root stands for")]
    WrongRoot,
}
