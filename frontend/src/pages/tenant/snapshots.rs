//! A tenant's snapshots.

use leptos::prelude::*;
use leptos_meta::Title;

use super::{WithTenant, snapshot_table::SnapshotTable};
use crate::components::Empty;

/// The page.
#[component]
pub fn TenantSnapshots() -> impl IntoView {
    view! {
        <Title text="Snapshots" />
        <h1>"Snapshots"</h1>
        <WithTenant content=|page| {
            if page.snapshots.is_empty() {
                view! {
                    <Empty title="No snapshots yet">
                        <p>
                            "A snapshot is one point in time of one source, locked in the bucket until its date. "
                            "The first backup makes the first one."
                        </p>
                    </Empty>
                }
                    .into_any()
            } else {
                view! { <SnapshotTable tenant=page.summary.id snapshots=page.snapshots /> }.into_any()
            }
        } />
    }
    .into_any()
}
