//! What stores do otherwise.

/// A store that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// This project's own.
    Lockbox,
    /// Ceph's gateway, as Debian has it.
    Ceph,
}

/// What a store does instead of what a check asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// The store.
    pub store: Store,
    /// The check's name.
    pub check: &'static str,
    /// What the check finds, word for word.
    pub instead: &'static str,
    /// What that means for Holdfast.
    pub meaning: &'static str,
}

/// All that is known.
pub const DIFFERENCES: &[Difference] = &[Difference {
    store: Store::Ceph,
    check: "put_if_absent_refuses_a_second",
    instead: "under a key that holds an object it is Put, and there are 2 versions",
    meaning: "the condition is ignored in a versioned bucket, so no caller may rely on it (docs/adr/0006-no-if-none-match.md)",
}];
