//! The form for a storage account.

mod form;
mod page;

pub use page::NewStorageAccountPage;
