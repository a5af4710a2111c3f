//! How a source's backups are kept protected between its runs: its sweeps.

use leptos::prelude::*;
use shared::api::view::{AwaitReason, AwaitingUnlock, ProtectionView, SweepView};

use super::{Ago, At, Bytes, Count, Counted, Day, Icon, Sign};

/// What the last sweep did, what waits for its lock to end, and what was refused.
#[component]
pub fn Protection(protection: ProtectionView) -> impl IntoView {
    let retired = protection.retired_at.map(|at| {
        view! {
            <p>
                "Retired " <Day at />
                ": nothing is backed up any more. Its snapshots run out, and what they needed is deleted as locks end."
            </p>
        }
    });
    let next = protection.next_sweep_at.map(|at| {
        view! {
            <div>
                <dt>"Next sweep"</dt>
                <dd>
                    <At at />
                </dd>
            </div>
        }
    });
    match protection.last_sweep {
        Some(sweep) => view! {
            {retired}
            <LastSweep sweep next=next.into_any() />
        }
        .into_any(),
        None => view! {
            {retired}
            <p class="muted">"Not swept yet. The first sweep begins by itself."</p>
        }
        .into_any(),
    }
}

#[component]
fn LastSweep(sweep: SweepView, next: AnyView) -> impl IntoView {
    let report = sweep.report;
    let more = [
        (
            report.copied,
            "object put again, because the provider cannot extend",
            "objects put again, because the provider cannot extend",
        ),
        (
            report.add_again,
            "object to be added again by the next backup",
            "objects to be added again by the next backup",
        ),
        (
            report.promoted,
            "snapshot confirmed for longer",
            "snapshots confirmed for longer",
        ),
        (report.expired, "snapshot expired", "snapshots expired"),
    ];
    let more = more
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(value, one, many)| {
            view! {
                <li>
                    <Counted value one many />
                </li>
            }
        })
        .collect_view();
    view! {
        <dl class="facts">
            <div>
                <dt>"Last sweep"</dt>
                <dd>
                    <Ago at=sweep.ended_at />
                </dd>
            </div>
            {next}
            <div>
                <dt>"Locks extended"</dt>
                <dd>
                    <Count value=report.refreshed />
                </dd>
            </div>
            <div>
                <dt>"Deleted"</dt>
                <dd>
                    <Counted value=report.deleted_versions one="object" many="objects" />
                    ", "
                    <Bytes size=report.deleted_bytes />
                </dd>
            </div>
            <div>
                <dt>"Look-ahead"</dt>
                <dd>{crate::format::counted(u64::from(report.lock_ahead_days), "day", "days")}</dd>
            </div>
        </dl>
        <ul>{more} {report.awaiting.into_iter().map(|waiting| view! { <Awaiting waiting /> }).collect_view()}</ul>
        {report
            .frozen_until
            .map(|until| {
                view! {
                    <p>
                        "The newest snapshot holds far less than the good one before it. Until somebody decides on its page, or until "
                        <Day at=until /> ", nothing is given up or deleted."
                    </p>
                }
            })}
        {(!report.refused.is_empty())
            .then(|| {
                view! {
                    <div class="notice warn">
                        <Icon sign=Sign::Warning />
                        <div>
                            <h4>"Not done"</h4>
                            <ul>
                                {report.refused.into_iter().map(|why| view! { <li>{why}</li> }).collect_view()}
                            </ul>
                        </div>
                    </div>
                }
            })}
    }
    .into_any()
}

#[component]
fn Awaiting(waiting: AwaitingUnlock) -> impl IntoView {
    let why = match waiting.reason {
        AwaitReason::Dropped => "no longer needed by any snapshot, but still locked",
        AwaitReason::BrokenRun => "sent by a run that broke off, and still locked",
        AwaitReason::Superseded => "replaced by a later version, and still locked",
    };
    view! {
        <li>
            <Counted value=waiting.objects one="object" many="objects" />
            ", "
            <Bytes size=waiting.bytes />
            ", "
            {why}
            {if waiting.objects == 1 { ": it is deleted from " } else { ": they are deleted from " }}
            <Day at=waiting.first />
            {(waiting.last != waiting.first)
                .then(|| view! { " to " <Day at=waiting.last /> })}
        </li>
    }
    .into_any()
}
