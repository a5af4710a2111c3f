//! A run's page.

mod cancel;
mod page;

pub use page::RunPage;
