//! Whether everything that the ledger knows is in the bucket, and locked: what the server's daily check found.

use leptos::prelude::*;
use shared::api::view::{BucketCheckReport, BucketCheckView, BucketFindingKind, BucketFindingView};

use super::{Ago, At, Bytes, Count, Counted, Day, Icon, Sign};

/// One sentence when all is well, and otherwise what is not.
#[component]
pub fn BucketCheck(check: Option<BucketCheckView>) -> impl IntoView {
    let content = match check {
        None => view! {
            <p class="muted">
                "Not checked yet. Once a day the server lists every version and compares it with the ledger."
            </p>
        }
        .into_any(),
        Some(check) => view! { <Checked check /> }.into_any(),
    };
    view! {
        <section aria-labelledby="checked">
            <h2 id="checked">"Checked every day"</h2>
            {content}
        </section>
    }
    .into_any()
}

#[component]
fn Checked(check: BucketCheckView) -> impl IntoView {
    let report = check.report;
    let state = if let Some(refused) = report.refused.clone() {
        let before = report.whole_at.map(|at| {
            view! {
                <p>"The last whole check ended " <At at /> "."</p>
            }
        });
        view! {
            <div class="notice warn">
                <Icon sign=Sign::Warning />
                <div>
                    <h3>"The last check broke off"</h3>
                    <p>{refused}</p>
                    {before}
                </div>
            </div>
        }
        .into_any()
    } else if report.is_clean() {
        view! {
            <p>
                {all_of(report.objects)} " (" <Bytes size=report.bytes /> ") "
                {if report.objects == 1 { "is there and locked" } else { "are there and locked" }} ", checked at " <At at=check.ended_at />
                "."
            </p>
        }
        .into_any()
    } else {
        view! {
            <p>
                "Checked at " <At at=check.ended_at /> ": "
                <Counted value=report.objects one="object" many="objects" /> ", " <Bytes size=report.bytes /> "."
            </p>
        }
        .into_any()
    };
    let locks = view! {
        <p class="muted">
            "S3 was asked for the lock of " <Counted value=report.locks_asked one="object" many="objects" />
            {format!(": part {} of {}.", report.slice + 1, report.slices.max(1))}
        </p>
    };
    let findings = check.findings;
    view! {
        {state}
        {locks}
        {(report.needed_missing > 0).then(|| view! { <Alert report=report.clone() /> })}
        {(!findings.is_empty()).then(|| view! { <Findings report findings /> })}
    }
    .into_any()
}

fn all_of(objects: u64) -> String {
    match objects {
        1 => "The one object".to_owned(),
        objects => format!("All {}", crate::format::counted(objects, "object", "objects")),
    }
}

#[component]
fn Alert(report: BucketCheckReport) -> impl IntoView {
    view! {
        <div class="notice bad" role="alert">
            <Icon sign=Sign::Failure />
            <div>
                <h3>"Snapshots that are kept need objects that are gone"</h3>
                <p>
                    <Counted value=report.needed_missing one="object" many="objects" />
                    " can no longer be read, and files in the snapshots that need that cannot be restored whole. "
                    "Locked versions cannot vanish from a store that keeps its word: check the bucket's mode and the "
                    "provider, and run a backup now: it sends what it can read again."
                </p>
            </div>
        </div>
    }
    .into_any()
}

#[component]
fn Findings(report: BucketCheckReport, findings: Vec<BucketFindingView>) -> impl IntoView {
    let all = report.missing
        + report.other_size
        + report.weak_lock
        + report.unknown_versions
        + report.delete_markers;
    let shown = findings.len() as u64;
    let rows = findings.into_iter().map(|finding| {
        let what = match finding.kind {
            BucketFindingKind::Missing => "gone",
            BucketFindingKind::OtherSize => "another size",
            BucketFindingKind::WeakLock => "not locked as confirmed",
            BucketFindingKind::UnknownVersion => "not ours",
            BucketFindingKind::DeleteMarker => "delete marker",
        };
        view! {
            <li>
                <strong>{what}</strong>
                {finding.needed.then_some(" (a kept snapshot needs it)")}
                ": "
                <span class="mono">{finding.key}</span>
                " version "
                <span class="mono">{finding.version_id}</span>
                ": "
                {finding.detail}
                ", since "
                <Day at=finding.first_seen_at />
                ", last seen "
                <Ago at=finding.last_seen_at />
            </li>
        }
    });
    view! {
        <details open=report.needed_missing + report.weak_lock + report.other_size != 0>
            <summary>
                {crate::format::counted(all, "thing is", "things are")}
                " not as it should be"
            </summary>
            <ul>{rows.collect_view()}</ul>
            {(all > shown)
                .then(|| {
                    view! {
                        <p class="muted">"And " <Count value=all - shown /> " more."</p>
                    }
                })}
        </details>
    }
    .into_any()
}
