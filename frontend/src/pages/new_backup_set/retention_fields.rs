//! The fields of the retention: how long each backup is locked, and in which mode.

use jiff::SignedDuration;
use leptos::prelude::*;
use shared::{
    input,
    retention::{LockMode, Policy, protected_until},
};

use crate::{
    clock::{local, use_clock, use_hydrated},
    components::{Checkbox, Choice, Field, FormField, Icon, Radios, Sign},
    refused::Typed,
};

const IMMUTABLE: Field = Field::choice("immutable_retention", "Immutable retention policy")
    .required()
    .described_by("immutable-hint");

const DAYS: Field = Field::number(
    "retention_days",
    "Lock each backup for",
    1,
    Policy::MAX_RETENTION_DAYS,
)
.unit("days")
.initial("90")
.required()
.described_by("lock-date")
.rule(|text| input::retention_days(text).map(drop));

const MODE: Field = Field::choice("mode", "Lock mode").initial("compliance");

const GOVERNANCE: &str = "governance";

const MODES: [Choice; 2] = [
    Choice::new("compliance", "COMPLIANCE")
        .hint("Nobody can delete or shorten before the date. This is what immutable means."),
    Choice::new(GOVERNANCE, "GOVERNANCE")
        .hint("Not immutable: whoever holds the right to bypass it can delete every backup. For trials."),
];

/// The fields.
#[component]
pub fn RetentionFields(typed: Typed) -> impl IntoView {
    let (days, set_days) = signal(typed.text(DAYS.name, DAYS.initial));
    let (bypassable, set_bypassable) = signal(typed.is(MODE.name, GOVERNANCE, false));
    view! {
        <fieldset class="retention">
            <legend>"Retention"</legend>
            <Checkbox field=IMMUTABLE class="check strong" />
            <p class="hint" id="immutable-hint">
                "Each backup is locked in the bucket when it completes. Until its date nobody can delete it: not an "
                "intruder, not the provider's support, not the account's root user, and not you. It is also paid for "
                "until then. A retention that was given cannot be taken back, so choose a number that you will want "
                "to pay for."
            </p>
            <FormField field=DAYS on_text=move |text: String| set_days.set(text) />
            <LockDate days />
            <Radios field=MODE choices=&MODES on_choice=move |mode: &'static str| set_bypassable.set(mode == GOVERNANCE) />
            <div role="status">{move || bypassable.get().then(|| view! { <BypassWarning /> })}</div>
        </fieldset>
    }
    .into_any()
}

#[component]
fn BypassWarning() -> impl IntoView {
    view! {
        <div class="notice warn">
            <Icon sign=Sign::Warning />
            <p>
                "With GOVERNANCE an intruder who has the account's keys can delete the backups. "
                "Use it only to try things out."
            </p>
        </div>
    }
}

/// Until when a backup that is taken today would be locked. The date is there once the page has a clock.
#[component]
fn LockDate(days: ReadSignal<String>) -> impl IntoView {
    let hydrated = use_hydrated();
    let clock = use_clock();
    let date = move || {
        let now = clock.now().filter(|_| hydrated.get())?;
        let days = days.with(|days| days.trim().parse().ok())?;
        let policy = Policy::new(days, LockMode::Compliance).ok()?;
        // Years beyond what a calendar holds are the server's to refuse.
        now.checked_add(SignedDuration::from_hours(24 * i64::from(days)))
            .ok()?;
        let until = protected_until(&policy, now);
        local(until).split_once(',').map(|(day, _)| day.to_owned())
    };
    view! {
        <p class="lock-date" id="lock-date" aria-live="polite">
            <Icon sign=Sign::Lock />
            <span>
                {move || match date() {
                    Some(date) => {
                        view! {
                            "A backup taken today would be locked until "
                            <strong>{date}</strong>
                        }
                            .into_any()
                    }
                    None => {
                        days.with(|days| {
                                let days = days.trim();
                                let unit = if days == "1" { "day" } else { "days" };
                                format!("Each backup is locked for {days} {unit} from when it completes")
                            })
                            .into_any()
                    }
                }}
            </span>
        </p>
    }
    .into_any()
}
