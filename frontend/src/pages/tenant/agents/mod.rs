//! The page of a tenant's agents.

mod page;
mod table;

pub use page::TenantAgentsPage;
