//! What the pages of one tenant share: its id, its page's data and its live stream.

use std::time::Duration;

use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_params_map};
use shared::{api::view::TenantPage, ids::TenantId};

use crate::{
    error::ConsoleError,
    functions::tenant::load_tenant,
    live::Live,
    reach::{Reach, fetched},
};

/// How often lists are fetched again though the stream tells nothing, such as when agents were last seen.
const REFRESH: Duration = Duration::from_secs(30);

/// The tenant on the screen.
#[derive(Clone, Copy)]
pub struct Tenant {
    /// Its id, if the address holds one.
    pub id: Memo<Option<TenantId>>,
    /// Its page's data.
    pub page: Resource<Result<TenantPage, ConsoleError>>,
    /// Its live stream.
    pub live: Live,
}

impl Tenant {
    /// Makes the tenant in the address known to everything below.
    pub fn provide() -> Self {
        let id = id_in_address("tenant");
        let reach = expect_context::<Reach>();
        let live = Live::follow(id, reach);
        // Fetched again on the way from page to page as well: what a form has just made is then there. Not on the
        // way out.
        let pathname = use_location().pathname;
        let pathname = Memo::new(move |before: Option<&String>| {
            let inside = pathname.with(|path| path.starts_with("/tenants/"));
            before
                .filter(|_| !inside)
                .cloned()
                .unwrap_or_else(|| pathname.get())
        });
        let page = Resource::new(
            move || (id.get(), live.turns(), pathname.get()),
            |(id, _, _)| fetched(move || async move { load_tenant(id.ok_or_else(no_tenant)?).await }),
        );
        Effect::new(move || {
            let refresh = move || {
                if reach.is_open() {
                    live.turn();
                }
            };
            if let Ok(handle) = set_interval_with_handle(refresh, REFRESH) {
                on_cleanup(move || handle.clear());
            }
        });
        let tenant = Self { id, page, live };
        provide_context(tenant);
        tenant
    }

    /// The address of a page of this tenant; `page` begins with a slash or is empty.
    pub fn path(self, page: &str) -> String {
        self.id
            .with(|id| id.as_ref().map_or_else(|| "/".to_owned(), |id| path(*id, page)))
    }
}

/// The address of a page of a tenant; `page` begins with a slash or is empty.
pub fn path(tenant: TenantId, page: &str) -> String {
    format!("/tenants/{tenant}{page}")
}

/// The tenant of the page. Only below the tenant's layout.
pub fn use_tenant() -> Tenant {
    expect_context()
}

/// An id that the address names.
pub fn id_in_address<I>(parameter: &'static str) -> Memo<Option<I>>
where
    I: std::str::FromStr + PartialEq + Send + Sync + 'static,
{
    let parameters = use_params_map();
    Memo::new(move |_| parameters.with(|parameters| parameters.get_str(parameter)?.parse().ok()))
}

/// The error for an address that names no tenant.
pub fn no_tenant() -> ConsoleError {
    ConsoleError::NotFound("customer".to_owned())
}
