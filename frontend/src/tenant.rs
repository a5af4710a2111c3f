//! What the pages of one tenant share: its id, its name and state, its live stream, and the way to fetch what a page shows.

use std::{future::Future, time::Duration};

use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_params_map};
use serde::{Serialize, de::DeserializeOwned};
use shared::{api::view::TenantSummary, ids::TenantId};

use crate::{
    error::ConsoleError,
    functions::tenant::load_tenant,
    live::Live,
    reach::{Reach, fetched},
};

/// How often pages are fetched again though the stream tells nothing, such as when agents were last seen.
const REFRESH: Duration = Duration::from_secs(30);

/// The tenant on the screen.
#[derive(Clone, Copy)]
pub struct Tenant {
    /// Its id, if the address holds one.
    pub id: Memo<Option<TenantId>>,
    /// Its name and state.
    pub summary: Resource<Result<TenantSummary, ConsoleError>>,
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
        let summary = Resource::new(
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
        let tenant = Self { id, summary, live };
        provide_context(tenant);
        tenant
    }

    /// What a page shows: fetched when the page is opened, and again whenever something came to another state.
    pub fn fetch<T, F>(
        self,
        load: impl Fn(TenantId) -> F + Copy + Send + Sync + 'static,
    ) -> Resource<Result<T, ConsoleError>>
    where
        T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
        F: Future<Output = Result<T, ConsoleError>> + Send + 'static,
    {
        Resource::new(
            move || (self.id.get(), self.live.turns()),
            move |(id, _)| fetched(move || async move { load(id.ok_or_else(no_tenant)?).await }),
        )
    }

    /// What a form shows: fetched once, so that nothing under the fingers is redrawn.
    pub fn fetch_once<T, F>(
        self,
        load: impl Fn(TenantId) -> F + Copy + Send + Sync + 'static,
    ) -> Resource<Result<T, ConsoleError>>
    where
        T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
        F: Future<Output = Result<T, ConsoleError>> + Send + 'static,
    {
        Resource::new(
            move || self.id.get(),
            move |id| fetched(move || async move { load(id.ok_or_else(no_tenant)?).await }),
        )
    }

    /// The hidden field by which a form names the tenant.
    pub fn hidden(self) -> (&'static str, String) {
        let id = self.id.get_untracked();
        ("tenant", id.map(|id| id.to_string()).unwrap_or_default())
    }

    /// The address of a page of this tenant; `page` begins with a slash or is empty.
    pub fn path(self, page: &str) -> String {
        self.id
            .with(|id| id.as_ref().map_or_else(|| "/".to_owned(), |id| path(*id, page)))
    }
}

/// The address of a page of a tenant; `page` begins with a slash or is empty.
fn path(tenant: TenantId, page: &str) -> String {
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
