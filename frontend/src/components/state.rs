//! Where runs, snapshots and restores stand.

use leptos::prelude::*;
use shared::{
    api::{
        agent::{RestorePurpose, RunState},
        view::{Damage, RestoreState, RunView, SnapshotState},
    },
    retention::{LockMode, Period, Soundness},
};

use super::{
    icon::{Icon, Sign},
    progress::{is_lost, silence_of},
};

#[component]
fn Badge(tone: &'static str, sign: Sign, word: &'static str) -> impl IntoView {
    view! {
        <span class=tone>
            <Icon sign />
            {word}
        </span>
    }
    .into_any()
}

/// A run's state, or that its agent is silent.
#[component]
pub fn RunBadge(run: Signal<RunView>) -> impl IntoView {
    let state = Memo::new(move |_| run.with(|run| run.state));
    let silent = silence_of(run);
    let lost = is_lost(run);
    let waits = Memo::new(move |_| run.with(|run| run.state == RunState::Queued && run.not_before.is_some()));
    move || {
        match silent.get() {
        Some(silent) => view! {
            <span class="badge warn">
                <Icon sign=Sign::Warning />
                {if lost.get() { format!("Lost: no word for {silent}") } else { format!("No word for {silent}") }}
            </span>
        }
        .into_any(),
        None if waits.get() => {
            view! { <Badge tone="badge busy" sign=Sign::Clock word="Waits for another try" /> }.into_any()
        }
        None => run_badge(state.get()),
    }
    }
}

fn run_badge(state: RunState) -> AnyView {
    let (tone, sign, word) = match state {
        RunState::Queued => ("badge busy", Sign::Clock, "Waiting for the agent"),
        RunState::Running => ("badge busy", Sign::Running, "Backing up"),
        RunState::Committing => ("badge busy", Sign::Running, "Confirming locks"),
        RunState::Locking => ("badge busy", Sign::Lock, "Extending locks"),
        RunState::Succeeded => ("badge good", Sign::Check, "Complete"),
        RunState::Failed => ("badge bad", Sign::Failure, "Failed"),
    };
    view! { <Badge tone sign word /> }.into_any()
}

/// A snapshot's state.
#[component]
pub fn SnapshotBadge(state: SnapshotState) -> impl IntoView {
    let (tone, sign, word) = match state {
        SnapshotState::Locking => ("badge busy", Sign::Lock, "Extending locks"),
        SnapshotState::Complete => ("badge good", Sign::Check, "Complete"),
        SnapshotState::Expired => ("badge", Sign::Clock, "Expired"),
        SnapshotState::Broken => ("badge bad", Sign::Failure, "Never complete"),
    };
    view! { <Badge tone sign word /> }.into_any()
}

/// What a complete snapshot has lost.
#[component]
pub fn DamageBadge(damage: Option<Damage>) -> impl IntoView {
    damage.map(|_| view! { <Badge tone="badge bad" sign=Sign::Failure word="Damaged" /> })
}

/// Whether a snapshot may stand for the source's data; nothing for one that may.
#[component]
pub fn SoundnessBadge(soundness: Soundness) -> impl IntoView {
    let word = match soundness {
        Soundness::Sound => return ().into_any(),
        Soundness::Undecided => "Less than before",
        Soundness::Bad => "Not good",
    };
    view! { <Badge tone="badge warn" sign=Sign::Warning word /> }.into_any()
}

/// The periods that a snapshot is kept longer for.
#[component]
pub fn TierBadges(tiers: Vec<Period>) -> impl IntoView {
    tiers
        .into_iter()
        .map(|tier| view! { <span class="badge">{crate::format::period(tier)}</span> })
        .collect_view()
}

/// The state of a permission to restore, or of a use of one.
#[component]
pub fn RestoreBadge(state: RestoreState, purpose: RestorePurpose) -> impl IntoView {
    let (tone, sign, word) = match (state, purpose) {
        (RestoreState::Authorised, _) => ("badge busy", Sign::Clock, "Allowed"),
        (RestoreState::Running, RestorePurpose::Restore) => ("badge busy", Sign::Running, "Restoring"),
        (RestoreState::Running, _) => ("badge busy", Sign::Running, "Reading"),
        (RestoreState::Succeeded, RestorePurpose::Restore) => ("badge good", Sign::Check, "Restored"),
        (RestoreState::Succeeded, _) => ("badge good", Sign::Check, "Done"),
        (RestoreState::Failed, _) => ("badge bad", Sign::Failure, "Failed"),
        (RestoreState::Expired, _) => ("badge", Sign::Blank, "Ran out"),
        (RestoreState::Ended, _) => ("badge", Sign::Blank, "Ended by hand"),
    };
    view! { <Badge tone sign word /> }.into_any()
}

/// A lock mode. Governance warns: it is not immutable against a bypass.
#[component]
pub fn ModeBadge(mode: LockMode) -> impl IntoView {
    let (tone, sign, word) = match mode {
        LockMode::Compliance => ("badge good", Sign::Lock, "COMPLIANCE"),
        LockMode::Governance => ("badge warn", Sign::Warning, "GOVERNANCE: can be bypassed"),
    };
    view! { <Badge tone sign word /> }.into_any()
}
