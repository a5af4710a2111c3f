//! A tenant's runs and restores.

use leptos::prelude::*;
use leptos_meta::Title;

use super::{
    WithTenant,
    run_table::{RestoreTable, RunTable},
};
use crate::components::Empty;

/// The page.
#[component]
pub fn TenantActivity() -> impl IntoView {
    view! {
        <Title text="Activity" />
        <h1>"Activity"</h1>
        <WithTenant content=|page| {
            let tenant = page.summary.id;
            view! {
                <section aria-labelledby="runs">
                    <h2 id="runs">"Runs"</h2>
                    {if page.runs.is_empty() {
                        view! {
                            <Empty title="No runs yet">
                                <p>"A run is one attempt of a backup. “Back up now” at a source starts one."</p>
                            </Empty>
                        }
                            .into_any()
                    } else {
                        view! { <RunTable tenant runs=page.runs /> }.into_any()
                    }}
                </section>
                <section aria-labelledby="restores">
                    <h2 id="restores">"Restores"</h2>
                    {if page.restores.is_empty() {
                        view! {
                            <Empty title="No restores yet">
                                <p>"Open a snapshot to allow a restore of it. Trying one is a good habit."</p>
                            </Empty>
                        }
                            .into_any()
                    } else {
                        view! { <RestoreTable tenant restores=page.restores /> }.into_any()
                    }}
                </section>
            }
                .into_any()
        } />
    }
    .into_any()
}
