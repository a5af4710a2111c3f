//! The next runs of a schedule, with changes of the clocks marked.

use leptos::prelude::*;
use shared::schedule::Schedule;

use crate::{
    clock::{use_clock, use_hydrated},
    schedule_form::{NextRun, next_runs},
};

/// How many of the next runs are shown.
pub const NEXT_RUNS: usize = 5;

/// The next runs of a schedule, counted from when the page was made and, in a browser that has taken over, from now.
#[component]
pub fn NextRuns(schedule: Schedule) -> impl IntoView {
    let (clock, hydrated) = (use_clock(), use_hydrated());
    let runs = Memo::new(move |_| {
        let now = clock.made_until(hydrated);
        now.map(|now| next_runs(&schedule, now, NEXT_RUNS))
            .unwrap_or_default()
    });
    view! { <div class="next-runs">{move || next_run_list(runs.get())}</div> }
}

/// Runs as a list; nothing where there are none.
pub fn next_run_list(runs: Vec<NextRun>) -> AnyView {
    if runs.is_empty() {
        return ().into_any();
    }
    let items = runs
        .into_iter()
        .map(|NextRun { at, change }| {
            let change = change.map(|change| format!("({change})")).unwrap_or_default();
            view! {
                <li>
                    {at} <span class="change">{change}</span>
                </li>
            }
        })
        .collect_view();
    view! { <ol>{items}</ol> }.into_any()
}
