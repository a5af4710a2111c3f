//! A tenant's first page.

mod page;
mod set_up;
mod source_card;

pub use page::TenantOverviewPage;
