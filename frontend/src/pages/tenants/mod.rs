//! The page of all tenants.

mod form;
mod page;
mod table;

pub use page::TenantsPage;
