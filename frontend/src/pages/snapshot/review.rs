//! What is suspicious about a snapshot, and the decision on it.

use leptos::prelude::*;
use shared::{
    anomaly::Judgement,
    api::view::{SnapshotPage, SnapshotReview, SnapshotView, SoundSnapshot},
    retention::Soundness,
};

use crate::{
    components::{Ago, ButtonForm, Day, FormError, Icon, Sign},
    functions::snapshot::JudgeSnapshot,
    refused::FormState,
    tenant::use_tenant,
};

/// Nothing for a snapshot that differs in nothing from the sound one before.
#[component]
pub fn Review(page: SnapshotPage, form: FormState<JudgeSnapshot>) -> impl IntoView {
    let snapshot = page.snapshot;
    if snapshot.anomalies.is_empty() {
        return ().into_any();
    }
    let is_sound = snapshot.soundness.is_sound();
    let (tone, sign) = if is_sound {
        ("notice", Sign::Blank)
    } else {
        ("notice warn", Sign::Warning)
    };
    let heading = match (snapshot.soundness, snapshot.judged_at.is_some()) {
        (Soundness::Undecided, _) => "Is this backup what it should be?",
        (Soundness::Bad, _) => "Not a good backup",
        (Soundness::Sound, true) => "Good, although it differs",
        (Soundness::Sound, false) => "Worth knowing",
    };
    let lines = snapshot
        .anomalies
        .iter()
        .map(|anomaly| view! { <li>{anomaly.to_string()}</li> });
    view! {
        <section class=tone aria-labelledby="review">
            <Icon sign />
            <div>
                <h2 id="review">{heading}</h2>
                <p>"Beside the newest good backup before it:"</p>
                <ul>{lines.collect_view()}</ul>
                {snapshot
                    .judged_at
                    .map(|at| {
                        view! {
                            <p class="muted">
                                "Somebody decided that it is "
                                {if is_sound { "good " } else { "bad " }}
                                <Ago at />
                                ". The audit log has the name."
                            </p>
                        }
                    })}
                <FormError error=form.error />
                {page.review.map(|review| view! { <Decision review snapshot=snapshot.clone() form /> })}
            </div>
        </section>
    }
    .into_any()
}

#[component]
fn Decision(review: SnapshotReview, snapshot: SnapshotView, form: FormState<JudgeSnapshot>) -> impl IntoView {
    let tenant = use_tenant();
    let values = move |judgement: Judgement| {
        let judgement = match judgement {
            Judgement::Good => "good",
            Judgement::Bad => "bad",
        };
        vec![
            tenant.hidden(),
            ("snapshot", snapshot.id.to_string()),
            ("judgement", judgement.to_owned()),
        ]
    };
    let is_open = snapshot.soundness == Soundness::Undecided;
    let bad = values(Judgement::Bad);
    let held = review.sound.clone();
    view! {
        <p>
            "A disk that was not mounted, or files that somebody deleted, look like this. Until somebody decides, or a later backup is \
             as it should be, this one takes no tier"
            {held.map(|sound| view! { ", and " <Held sound /> " stays locked" })}
            "."
        </p>
        {review
            .frozen_until
            .map(|until| {
                view! {
                    <p>
                        "Until " <Day at=until />
                        " nothing of this source is given up or deleted. After that only the good backups before it and the newest one \
                         are kept beyond their dates."
                    </p>
                }
            })}
        <details>
            <summary>"It is as it should be"</summary>
            <p>
                "The files were removed on purpose. This snapshot then counts like any other: later ones are compared with it"
                {review
                    .sound
                    .map(|sound| {
                        view! { ", and " <Held sound=sound.clone() /> " is kept no longer than promised, until " <Day at=sound.protected_until /> }
                    })} ". This cannot be taken back."
            </p>
            <ButtonForm form values=values(Judgement::Good) label="Call it good" busy="Noting…" />
        </details>
        {is_open
            .then(|| {
                view! {
                    <details>
                        <summary>"It is not"</summary>
                        <p>
                            "This snapshot never counts as good. It is kept until its date, nothing waits for it any longer, and the good \
                             one before it stays locked until the next good one. Mend what is wrong on the machine, then back up again."
                        </p>
                        <ButtonForm form values=bad label="Call it bad" busy="Noting…" />
                    </details>
                }
            })}
    }
    .into_any()
}

#[component]
fn Held(sound: SoundSnapshot) -> impl IntoView {
    let tenant = use_tenant();
    view! {
        <a href=tenant.path(&format!("/snapshots/{}", sound.id))>{format!("snapshot {}", sound.seq)}</a>
        " of "
        <Day at=sound.received_at />
    }
    .into_any()
}
