//! Until when a snapshot is locked, and what has become of that.

use leptos::prelude::*;
use shared::api::view::{Damage, SnapshotPage, SnapshotState};

use crate::components::{Ago, Bytes, Counted, Day, Icon, LockTimeline, ModeBadge, Sign};

/// The date, its mode, and what is lost.
#[component]
pub fn LockCard(page: SnapshotPage) -> impl IntoView {
    let snapshot = page.snapshot;
    if snapshot.state == SnapshotState::Broken {
        return view! {
            <section class="card lock-card" aria-labelledby="locked-until">
                <div class="lock-head bad">
                    <Icon sign=Sign::Failure />
                    <div>
                        <h2 id="locked-until">"Promise"</h2>
                        <p class="lock-until">"Nothing was promised"</p>
                    </div>
                    <ModeBadge mode=snapshot.mode />
                </div>
                <p>
                    "Never complete: objects that it needs vanished from the bucket before everything was confirmed. It cannot be \
                     restored; choose another one. What it sent stays locked for its time, and the next backup builds on it."
                </p>
            </section>
        }
        .into_any();
    }
    let heading = match snapshot.state {
        SnapshotState::Expired => "Was locked until",
        _ => "Locked until",
    };
    let words = match (snapshot.state, snapshot.damage) {
        (SnapshotState::Complete, None) => "Confirmed by S3 for every object that this snapshot needs.",
        (SnapshotState::Complete, Some(_)) => {
            "S3 had confirmed the lock of every object that this snapshot needs."
        }
        (SnapshotState::Expired, _) => {
            "Expired: its protection has ended, and what it needed is deleted as locks end."
        }
        _ => "Not complete yet: locks that fall short are being extended.",
    };
    view! {
        <section class="card lock-card" aria-labelledby="locked-until">
            <div class="lock-head">
                <Icon sign=Sign::Lock />
                <div>
                    <h2 id="locked-until">{heading}</h2>
                    <p class="lock-until">
                        <Day at=snapshot.protected_until />
                    </p>
                </div>
                <ModeBadge mode=snapshot.mode />
            </div>
            {snapshot.damage.map(|damage| view! { <Damaged damage /> })}
            <p class="muted">{words}</p>
            {page
                .oldest_confirmation
                .filter(|_| snapshot.state == SnapshotState::Complete)
                .map(|at| {
                    view! {
                        <p class="muted">
                            "The lock that S3 was asked for longest ago was confirmed "
                            <Ago at />
                            "."
                        </p>
                    }
                })}
            <LockTimeline
                taken=snapshot.received_at
                protected_until=snapshot.protected_until
                earliest=page.earliest_lock
                latest=page.latest_lock
                damaged=snapshot.damage.is_some()
            />
        </section>
    }
    .into_any()
}

#[component]
fn Damaged(damage: Damage) -> impl IntoView {
    let them = if damage.objects == 1 { "it" } else { "them" };
    view! {
        <div class="notice bad" role="alert">
            <Icon sign=Sign::Failure />
            <div>
                <h3>"Something of it is gone from the bucket"</h3>
                <p>
                    <Counted
                        value=damage.objects
                        one="object that this snapshot needs is gone"
                        many="objects that this snapshot needs are gone"
                    />
                    " ("
                    <Bytes size=damage.bytes />
                    "). It keeps its date, and all else of it can be restored. Which files need "
                    {them}
                    ", only the machine or the recovery kit can tell; what a later backup has sent again is restored from there."
                </p>
            </div>
        </div>
    }
    .into_any()
}
