//! What is shown instead of a page's content: errors, emptiness, waiting.

use leptos::{either::Either, prelude::*};
use leptos_meta::Title;
use leptos_router::hooks::use_location;

use super::icon::{Icon, Sign};
use crate::error::ConsoleError;

/// A page that could not be made. When nobody is signed in: on the server, to the sign-in page; in the browser, where something
/// was shown before, a word and a link.
pub fn problem_page(error: ConsoleError) -> AnyView {
    view! { <Problem error /> }.into_any()
}

/// An error in place of a page's content.
#[component]
pub fn Problem(error: ConsoleError) -> impl IntoView {
    if error == ConsoleError::SignInNeeded {
        return Either::Left(view! { <SignedOut /> });
    }
    #[cfg(feature = "ssr")]
    crate::functions::status::set(&error);
    let heading = match &error {
        ConsoleError::NotFound(_) => "Not found",
        ConsoleError::Refused { .. } => "Not possible",
        _ => "That did not work",
    };
    let hint = matches!(error, ConsoleError::NotFound(_))
        .then_some("It may have been removed, or it belongs to a customer that you may not see.");
    Either::Right(view! {
        <Title text=heading />
        <section class="problem" role="alert">
            <Icon sign=Sign::Failure />
            <h2>{heading}</h2>
            <p>{error.to_string()}</p>
            <p class="muted">{hint}</p>
            <p>
                <a class="button" href="/">
                    "To all customers"
                </a>
            </p>
        </section>
    })
}

#[cfg(feature = "ssr")]
#[component]
fn SignedOut() -> impl IntoView {
    view! { <leptos_router::components::Redirect path=sign_in_and_come_back() /> }
}

#[cfg(not(feature = "ssr"))]
#[component]
fn SignedOut() -> impl IntoView {
    view! {
        <section class="problem" role="alert">
            <Icon sign=Sign::Lock />
            <h2>"Your session has ended"</h2>
            <p>"Sign in again: you then come back to this page."</p>
            <p>
                <a class="button primary" href=sign_in_and_come_back()>
                    "Sign in"
                </a>
            </p>
        </section>
    }
}

/// The sign-in page's address, with this page as the one to come back to.
pub fn sign_in_and_come_back() -> String {
    let location = use_location();
    let path = location.pathname.get_untracked();
    let query = location
        .query
        .with_untracked(leptos_router::params::ParamsMap::to_query_string);
    sign_in_page(&format!("{path}{query}"))
}

/// The sign-in page's address, with `here` as the page to come back to.
pub fn sign_in_page(here: &str) -> String {
    if here == "/" {
        return "/sign-in".to_owned();
    }
    format!("/sign-in?next={}", leptos_router::location::Url::escape(here))
}

/// What a list says when it is empty, and what to do next.
#[component]
pub fn Empty(
    /// What is missing.
    #[prop(into)]
    title: String,
    /// What to do about it.
    children: Children,
) -> impl IntoView {
    view! {
        <div class="empty">
            <p class="empty-title">{title}</p>
            {children()}
        </div>
    }
    .into_any()
}

/// Shown while data is on its way; only after hydration, when moving from page to page.
#[component]
pub fn Loading() -> impl IntoView {
    view! { <p class="loading" role="status">"Loading…"</p> }
}
