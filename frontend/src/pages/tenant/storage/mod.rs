//! The page of a tenant's storage.

mod page;
mod table;

pub use page::TenantStoragePage;
