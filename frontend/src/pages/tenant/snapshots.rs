//! A tenant's snapshots.

use leptos::prelude::*;
use leptos_meta::Title;
use shared::api::view::{SnapshotState, SnapshotView};

use super::{WithTenant, snapshot_table::SnapshotTable};
use crate::{components::Empty, format};

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
                let is_expired = |snapshot: &SnapshotView| snapshot.state == SnapshotState::Expired;
                let (expired, kept): (Vec<_>, Vec<_>) = page.snapshots.into_iter().partition(is_expired);
                let tenant = page.summary.id;
                view! {
                    <SnapshotTable tenant snapshots=kept />
                    {(!expired.is_empty())
                        .then(|| {
                            let count = format::counted(expired.len() as u64, "expired snapshot", "expired snapshots");
                            view! {
                                <details>
                                    <summary>{count}</summary>
                                    <p class="muted">
                                        "Their protection has ended. What only they needed is deleted as locks end, so they "
                                        "cannot be restored."
                                    </p>
                                    <SnapshotTable tenant snapshots=expired />
                                </details>
                            }
                        })}
                }
                    .into_any()
            }
        } />
    }
    .into_any()
}
