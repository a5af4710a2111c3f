//! The console: its routes, and what every page has around it.

use jiff::Timestamp;
use leptos::{either::Either, prelude::*};
use leptos_meta::{Title, provide_meta_context};
use leptos_router::{
    SsrMode,
    components::{Outlet, ParentRoute, Route, Router, Routes},
    hooks::use_location,
    path,
};

use serde::{Deserialize, Serialize};

use crate::{
    clock::{Clock, use_hydrated, zone},
    components::{Logo, problem_page},
    error::ConsoleError,
    functions::session::{SignOut, load_me},
    pages::{
        backup_set::BackupSetPage,
        new_backup_set::NewBackupSetPage,
        new_source::NewSourcePage,
        new_storage_account::NewStorageAccountPage,
        not_found::NotFound,
        run::RunPage,
        sign_in::SignInPage,
        snapshot::SnapshotPage,
        tenant::{
            activity::TenantActivityPage, agents::TenantAgentsPage, layout::TenantLayout,
            overview::TenantOverviewPage, snapshots::TenantSnapshotsPage, storage::TenantStoragePage,
        },
        tenants::TenantsPage,
    },
    person::Person,
    reach::{Reach, ReachNote, fetched},
    refused::{self, ForgetRefused, FormState, Refused, use_form},
};

/// The whole console.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    let start = SharedValue::new(Start::of_request).into_inner();
    Clock::provide(start.now);
    refused::provide(start.refused);
    Reach::provide();
    // For style sheets and tests: from here on the page answers without loading.
    Effect::new(|| {
        if let Some(root) = document().document_element() {
            let _ = root.set_attribute("data-hydrated", "");
        }
    });
    view! {
        <Title formatter=|page: String| {
            if page.is_empty() { "Holdfast".to_owned() } else { format!("{page} · Holdfast") }
        } />
        <Router>
            // `external`: the browser itself moves the focus, which the router would not.
            <a class="skip-link" href="#main" rel="external">
                "Skip to the content"
            </a>
            <FocusAfterNavigation />
            <ForgetRefused />
            <Routes fallback=|| view! { <NotFound /> }>
                <Route path=path!("/sign-in") view=SignInPage ssr=SsrMode::Async />
                <ParentRoute path=path!("") view=SignedIn ssr=SsrMode::Async>
                    <Route path=path!("/") view=TenantsPage ssr=SsrMode::Async />
                    <ParentRoute path=path!("/tenants/:tenant") view=TenantLayout ssr=SsrMode::Async>
                        <Route path=path!("") view=TenantOverviewPage ssr=SsrMode::Async />
                        <Route path=path!("/snapshots") view=TenantSnapshotsPage ssr=SsrMode::Async />
                        <Route path=path!("/activity") view=TenantActivityPage ssr=SsrMode::Async />
                        <Route path=path!("/agents") view=TenantAgentsPage ssr=SsrMode::Async />
                        <Route path=path!("/storage") view=TenantStoragePage ssr=SsrMode::Async />
                        <Route
                            path=path!("/storage-accounts/new")
                            view=NewStorageAccountPage
                            ssr=SsrMode::Async
                        />
                        <Route path=path!("/backup-sets/new") view=NewBackupSetPage ssr=SsrMode::Async />
                        <Route path=path!("/backup-sets/:set") view=BackupSetPage ssr=SsrMode::Async />
                        <Route path=path!("/sources/new") view=NewSourcePage ssr=SsrMode::Async />
                        <Route path=path!("/runs/:run") view=RunPage ssr=SsrMode::Async />
                        <Route path=path!("/snapshots/:snapshot") view=SnapshotPage ssr=SsrMode::Async />
                    </ParentRoute>
                </ParentRoute>
            </Routes>
        </Router>
    }
    .into_any()
}

/// What the server says with the page, once: the browser reads it while it takes the page over.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Start {
    /// The server's time when it made the page.
    now: Option<Timestamp>,
    /// The form that the page was refused with.
    refused: Option<Refused>,
}

impl Start {
    #[cfg(feature = "ssr")]
    fn of_request() -> Self {
        let backend = use_context::<std::sync::Arc<dyn crate::backend::Backend>>();
        Self {
            now: backend.map(|backend| backend.now()),
            refused: crate::functions::form::refused_here(),
        }
    }

    #[cfg(not(feature = "ssr"))]
    fn of_request() -> Self {
        Self::default()
    }
}

/// What pages for people who are signed in have around them.
#[component]
fn SignedIn() -> impl IntoView {
    let person = Person(Resource::new(|| (), |()| fetched(load_me)));
    provide_context(person);
    let FormState { action: sign_out, .. } = use_form::<SignOut>();
    view! {
        <header class="top">
            <a class="brand" href="/">
                <Logo />
                "Holdfast"
            </a>
            <nav class="top-nav" aria-label="Main">
                <a href="/">"Customers"</a>
            </nav>
            <div class="top-person">
                <Suspense>
                    {move || Suspend::new(async move {
                        match person.0.await {
                            Ok(Some(person)) => {
                                Either::Left(
                                    view! {
                                        <span class="person" title="Signed in">
                                            {person.email}
                                        </span>
                                    },
                                )
                            }
                            Ok(None) => {
                                Either::Right(
                                    problem_page(
                                        ConsoleError::SignInNeeded,
                                    ),
                                )
                            }
                            Err(error) => Either::Right(problem_page(error)),
                        }
                    })}
                </Suspense>
                <ActionForm action=sign_out>
                    <button class="button quiet small" type="submit">
                        "Sign out"
                    </button>
                </ActionForm>
            </div>
        </header>
        <main id="main" tabindex="-1">
            <ReachNote />
            <Outlet />
        </main>
        <footer class="bottom">
            <ZoneNote />
        </footer>
    }
    .into_any()
}

/// Which zone the times on the page are in.
#[component]
fn ZoneNote() -> impl IntoView {
    let hydrated = use_hydrated();
    let note = move || {
        let zone = hydrated.get().then(zone).flatten();
        zone.map_or_else(
            || "Times are in UTC.".to_owned(),
            |zone| format!("Times are in {zone}; hover for UTC."),
        )
    };
    view! { <p class="muted">{note}</p> }
}

/// Moves the focus to the content when the router has shown another page, as a browser would.
#[component]
fn FocusAfterNavigation() -> impl IntoView {
    let location = use_location();
    Effect::new(move |before: Option<String>| {
        let path = location.pathname.get();
        if before.is_some_and(|before| before != path)
            && location.hash.with_untracked(String::is_empty)
            && let Some(main) = document().get_element_by_id("main")
        {
            use wasm_bindgen::JsCast;
            let _ = main.unchecked_into::<web_sys::HtmlElement>().focus();
        }
        path
    });
}
