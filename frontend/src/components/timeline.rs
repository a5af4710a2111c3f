//! A snapshot's locks as a line in time.

use jiff::Timestamp;
use leptos::prelude::*;

use super::time::Day;
use crate::clock::{use_clock, use_hydrated};

/// The drawing's width and the margin at both ends, in its own units.
const WIDTH: f64 = 640.0;
const MARGIN: f64 = 8.0;

/// From the day a snapshot was taken to the day its last lock ends: the promise as a bar, what lies beyond it
/// lighter, and today as a mark once there is a clock.
#[component]
pub fn LockTimeline(
    /// When the snapshot was taken.
    taken: Timestamp,
    /// The promise.
    protected_until: Timestamp,
    /// The earliest lock among its objects.
    earliest: Option<Timestamp>,
    /// The latest lock among its objects.
    latest: Option<Timestamp>,
    /// Whether something of it is gone all the same.
    damaged: bool,
) -> impl IntoView {
    let hydrated = use_hydrated();
    let clock = use_clock();
    let end = latest.unwrap_or(protected_until).max(protected_until);
    let place = move |at: Timestamp| place_between(at, taken, end);
    let at = move |instant: Timestamp| format!("{:.1}", place(instant));
    let bar = move |from: Timestamp, to: Timestamp| format!("{:.1}", (place(to) - place(from)).max(0.0));
    let today = move || {
        clock.now().filter(|_| hydrated.get()).map(|now| {
            let x = at(now.clamp(taken, end));
            view! {
                <path class="timeline-today" d=format!("M{x} 6V46") />
                <path class="timeline-today-head" d=format!("M{x} 10l-5-8h10Z") />
            }
        })
    };
    let elapsed = move || {
        clock.now().filter(|_| hydrated.get()).map(|now| {
            let now = now.clamp(taken, end);
            view! {
                <rect class="timeline-elapsed" x=at(taken) y="20" width=bar(taken, now) height="16" rx="2" />
            }
        })
    };
    view! {
        <figure class="timeline">
            <svg viewBox="0 0 640 52" role="img" aria-labelledby="timeline-caption">
                <rect class="timeline-beyond" x=at(taken) y="20" width=bar(taken, end) height="16" rx="2" />
                <rect
                    class="timeline-promise"
                    x=at(taken)
                    y="20"
                    width=bar(taken, protected_until)
                    height="16"
                    rx="2"
                />
                {elapsed}
                <path class="timeline-tick" d=format!("M{} 16V42", at(taken)) />
                <path class="timeline-tick" d=format!("M{} 16V42", at(protected_until)) />
                {earliest
                    .filter(|earliest| *earliest > protected_until)
                    .map(|earliest| {
                        view! { <path class="timeline-tick faint" d=format!("M{} 18V40", at(earliest)) /> }
                    })}
                {today}
            </svg>
            <figcaption id="timeline-caption">
                <ul class="timeline-legend">
                    <li class="key-taken">
                        "Taken "
                        <Day at=taken />
                    </li>
                    <li class="key-promise">
                        {if damaged { "Promised until " } else { "Nobody can delete any of it until " }}
                        <Day at=protected_until />
                    </li>
                    {earliest
                        .map(|earliest| {
                            view! {
                                <li class="key-earliest">
                                    "Earliest lock ends "
                                    <Day at=earliest />
                                </li>
                            }
                        })}
                    {latest
                        .map(|latest| {
                            view! {
                                <li class="key-beyond">
                                    "Latest lock ends "
                                    <Day at=latest />
                                </li>
                            }
                        })}
                    <li class="key-today" hidden=move || !hydrated.get()>
                        "Today"
                    </li>
                </ul>
            </figcaption>
        </figure>
    }
    .into_any()
}

#[expect(clippy::cast_precision_loss, reason = "a drawing")]
fn place_between(at: Timestamp, from: Timestamp, to: Timestamp) -> f64 {
    let whole = to.duration_since(from).as_secs().max(1) as f64;
    let part = at.duration_since(from).as_secs() as f64;
    MARGIN + (WIDTH - 2.0 * MARGIN) * (part / whole).clamp(0.0, 1.0)
}
