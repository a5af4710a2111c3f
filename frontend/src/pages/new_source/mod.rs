//! The form for a source.

mod form;
mod page;
mod schedule_fields;

pub use page::NewSourcePage;
