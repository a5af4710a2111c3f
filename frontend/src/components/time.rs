//! Instants: in UTC from the server, in the browser's zone once hydrated, exact on hover.

use jiff::Timestamp;
use leptos::prelude::*;

use crate::{
    clock::{local, use_clock, use_hydrated},
    format,
};

/// A date and a time of day.
#[component]
pub fn At(at: Timestamp) -> impl IntoView {
    let hydrated = use_hydrated();
    view! {
        <time datetime=format::machine(at) title=format::utc_exact(at)>
            {move || if hydrated.get() { local(at) } else { format::utc(at) }}
        </time>
    }
    .into_any()
}

/// A date; the time of day is on hover.
#[component]
pub fn Day(at: Timestamp) -> impl IntoView {
    let hydrated = use_hydrated();
    view! {
        <time datetime=format::machine(at) title=format::utc_exact(at)>
            {move || {
                if hydrated.get() {
                    local(at).split_once(',').map_or_else(String::new, |(day, _)| day.to_owned())
                } else {
                    format::utc_day(at)
                }
            }}
        </time>
    }
    .into_any()
}

/// How long ago, or in how long; a date and a time of day until hydration.
#[component]
pub fn Ago(at: Timestamp) -> impl IntoView {
    let hydrated = use_hydrated();
    let clock = use_clock();
    view! {
        <time datetime=format::machine(at) title=format::utc_exact(at)>
            {move || match clock.now().filter(|_| hydrated.get()) {
                Some(now) => format::relative(at, now),
                None => format::utc(at),
            }}
        </time>
    }
    .into_any()
}
