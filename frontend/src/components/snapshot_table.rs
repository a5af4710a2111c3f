//! Snapshots in a table.

use leptos::prelude::*;
use shared::api::view::{SnapshotState, SnapshotView};

use super::{
    figures::{Bytes, Count},
    icon::{Icon, Sign},
    state::{DamageBadge, SnapshotBadge, SoundnessBadge, TierBadges},
    time::{At, Day},
};
use crate::tenant::use_tenant;

/// The table; each row leads to the snapshot's page.
#[component]
pub fn SnapshotTable(
    /// Newest first.
    snapshots: Vec<SnapshotView>,
) -> impl IntoView {
    view! {
        <div class="table-box" role="region" aria-label="Snapshots" tabindex="0">
            <table class="stack">
                <thead>
                    <tr>
                        <th scope="col">"Snapshot"</th>
                        <th scope="col">"Taken"</th>
                        <th scope="col" class="num">"Files"</th>
                        <th scope="col" class="num">"Size"</th>
                        <th scope="col" class="num">"Sent"</th>
                        <th scope="col">"Locked until"</th>
                        <th scope="col">"State"</th>
                    </tr>
                </thead>
                <tbody>
                    {snapshots
                        .into_iter()
                        .map(|snapshot| view! { <SnapshotRow snapshot /> })
                        .collect_view()}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn SnapshotRow(snapshot: SnapshotView) -> impl IntoView {
    let tenant = use_tenant();
    view! {
        <tr>
            <th scope="row">
                <a class="row-link" href=tenant.path(&format!("/snapshots/{}", snapshot.id))>
                    {snapshot.source_name}
                    " "
                    <span class="figure">{format!("#{}", snapshot.seq)}</span>
                </a>
            </th>
            <td data-label="Taken">
                <At at=snapshot.received_at />
            </td>
            <td class="num" data-label="Files">
                <Count value=snapshot.totals.files />
            </td>
            <td class="num" data-label="Size">
                <Bytes size=snapshot.totals.bytes />
            </td>
            <td class="num" data-label="Sent">
                <Bytes size=snapshot.totals.bytes_sent />
            </td>
            <td data-label="Locked until">
                {if snapshot.state == SnapshotState::Broken {
                    view! { <span class="muted">"nothing promised"</span> }.into_any()
                } else {
                    view! {
                        <span class="locked-until">
                            <Icon sign=Sign::Lock />
                            <Day at=snapshot.protected_until />
                        </span>
                    }
                        .into_any()
                }}
            </td>
            <td>
                <div class="state-cell">
                    <SnapshotBadge state=snapshot.state />
                    <DamageBadge damage=snapshot.damage />
                    <SoundnessBadge soundness=snapshot.soundness />
                    <TierBadges tiers=snapshot.tiers />
                    {(snapshot.totals.warnings > 0)
                        .then(|| {
                            let text = crate::format::counted(
                                snapshot.totals.warnings,
                                "warning",
                                "warnings",
                            );
                            view! { <span class="badge warn">{text}</span> }
                        })}
                </div>
            </td>
        </tr>
    }
    .into_any()
}
