//! The browser's clock and time zone: the one place of the console that reads them.
//!
//! On the server, and until hydration is over, there is no clock: pages then show exact UTC times.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use leptos::prelude::*;
use wasm_bindgen::JsValue;

use crate::format;

/// How often relative times move on.
const TICK: Duration = Duration::from_secs(10);

/// The server's time, moving on every few seconds in a browser: its clock may be wrong, and how far is known from the page's own.
#[derive(Clone, Copy)]
pub struct Clock {
    /// When the server made the page.
    made: Option<Timestamp>,
    now: RwSignal<Option<Timestamp>>,
}

impl Clock {
    /// Starts a clock for everything below. `made` is the server's time when it made the page.
    pub fn provide(made: Option<Timestamp>) {
        let now = RwSignal::new(None);
        provide_context(Self { made, now });
        Effect::new(move || {
            // What the page took to get here is left out of account: it is short.
            let ahead = made.map_or(SignedDuration::ZERO, |made| read().duration_since(made));
            let tick = move || now.set(Some(read() - ahead));
            tick();
            if let Ok(handle) = set_interval_with_handle(tick, TICK) {
                on_cleanup(move || handle.clear());
            }
        });
    }

    /// The time now, if this runs in a browser that has taken over the page.
    pub fn now(self) -> Option<Timestamp> {
        self.now.get()
    }

    /// When the server made the page, in the very first rendering in the browser too; the time now once `hydrated`.
    pub fn made_until(self, hydrated: ReadSignal<bool>) -> Option<Timestamp> {
        if hydrated.get() {
            self.now_or_made()
        } else {
            self.made
        }
    }

    /// The time now, or when the server made the page: the same there and in the first rendering in the browser.
    pub fn now_or_made(self) -> Option<Timestamp> {
        self.now.get().or(self.made)
    }
}

/// The clock of the page.
pub fn use_clock() -> Clock {
    use_context().unwrap_or_else(|| Clock {
        made: None,
        now: RwSignal::new(None),
    })
}

/// Whether this component has been hydrated. `false` in the very first rendering in the browser too, which
/// must equal the server's.
pub fn use_hydrated() -> ReadSignal<bool> {
    let (hydrated, set_hydrated) = signal(false);
    Effect::new(move || set_hydrated.set(true));
    hydrated
}

fn read() -> Timestamp {
    millis(js_sys::Date::now())
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "dates are far below 2^53 milliseconds"
)]
fn millis(value: f64) -> Timestamp {
    Timestamp::from_millisecond(value as i64).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// An instant in the browser's zone, such as `23 Nov 2026, 20:04`. Only in a browser.
pub fn local(at: Timestamp) -> String {
    #[expect(clippy::cast_precision_loss, reason = "dates are far below 2^53 milliseconds")]
    let date = js_sys::Date::new(&JsValue::from_f64(at.as_millisecond() as f64));
    format::calendar(
        date.get_full_year(),
        date.get_month() + 1,
        date.get_date(),
        Some((date.get_hours(), date.get_minutes())),
    )
}

/// The browser's time zone, such as `Europe/Berlin`. Only in a browser.
pub fn zone() -> Option<String> {
    let options = js_sys::Intl::DateTimeFormat::default().resolved_options();
    js_sys::Reflect::get(&options, &"timeZone".into())
        .ok()?
        .as_string()
}
