//! Breadcrumbs.

use leptos::prelude::*;

/// The way from the overview to this page: pairs of address and name; the page itself comes last.
#[component]
pub fn Crumbs(
    /// The pages above, outermost first.
    above: Vec<(String, String)>,
    /// This page's name.
    #[prop(into)]
    here: String,
) -> impl IntoView {
    view! {
        <nav class="crumbs" aria-label="Breadcrumbs">
            <ol>
                {above
                    .into_iter()
                    .map(|(href, name)| view! { <li><a href=href>{name}</a></li> })
                    .collect_view()}
                <li aria-current="page">{here}</li>
            </ol>
        </nav>
    }
    .into_any()
}
