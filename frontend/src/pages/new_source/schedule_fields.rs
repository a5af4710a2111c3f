//! The fields that say when a source is backed up, what was understood of them, and the next runs: of what is typed in a
//! browser that has taken over, else of what was sent.

use leptos::{html, prelude::*};
use shared::{input, limits::Limit};
use wasm_bindgen::JsValue;

use crate::{
    clock::{use_clock, use_hydrated, zone},
    components::{
        Choice, Field, FieldFrame, FieldState, FormField, NEXT_RUNS, Radios, SelectOption, next_run_list,
    },
    refused::Typed,
    schedule_form::{NextRun, ScheduleForm, next_runs},
};

/// Zones that the field offers; any other name of the time zone database can be typed.
const ZONES: [&str; 22] = [
    "UTC",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Paris",
    "Europe/Zurich",
    "Europe/Vienna",
    "Europe/Madrid",
    "Europe/Warsaw",
    "Europe/Helsinki",
    "Africa/Johannesburg",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Toronto",
    "America/Sao_Paulo",
    "Asia/Dubai",
    "Asia/Kolkata",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Pacific/Auckland",
];

/// Days of the week, numbered as ISO 8601 does.
const DAYS: [(&str, &str); 7] = [
    ("1", "Monday"),
    ("2", "Tuesday"),
    ("3", "Wednesday"),
    ("4", "Thursday"),
    ("5", "Friday"),
    ("6", "Saturday"),
    ("7", "Sunday"),
];

const EVERY: Field = Field::choice("every", "How often").initial("day");

const RECURRENCES: [Choice; 6] = [
    Choice::new("hour", "Each hour"),
    Choice::new("day", "Each day"),
    Choice::new("week", "Each week"),
    Choice::new("month", "Each month"),
    Choice::new("cron", "Cron line"),
    Choice::new("manual", "Only when asked"),
];

const LINE: Field = Field::line("line", "Cron line")
    .hint("Minute, hour, day of month, month, day of week: 30 2 * * 1-5 is 02:30 from Monday to Friday.")
    .initial("30 2 * * 1-5")
    .mono()
    .at_most(Limit::CronLine);

const DAY: Field = Field::choice("day", "On day").initial("1");

const TIME: Field = Field::typed("time", "time", "At").initial("02:30");

const MINUTE: Field = Field::number("minute", "Minutes past the hour", 0, 59).initial("15");

const TIME_ZONE: Field = Field::line("time_zone", "Time zone")
    .initial("UTC")
    .required()
    .literal()
    .rule(|text| input::time_zone(text).map(drop));

/// Without hydration every field is there; the style sheet shows those that count for the chosen recurrence.
#[component]
pub fn ScheduleFields(typed: Typed) -> impl IntoView {
    let fields = NodeRef::<html::Fieldset>::new();
    let (form, set_form) = signal(ScheduleForm::typed(|field| typed.get(field)));
    let read = move || set_form.set(fields.get_untracked().and_then(|fields| in_browser(&fields)));
    let zone_field = NodeRef::<html::Input>::new();
    let zone_state = FieldState::of(TIME_ZONE);
    let zone_known = typed.get(TIME_ZONE.name).is_some_and(|zone| !zone.is_empty());
    // Until somebody chooses otherwise, the technician's own zone.
    Effect::new(move || {
        if let Some(field) = zone_field.get()
            && !zone_known
            && field.value() == "UTC"
            && let Some(zone) = zone()
        {
            field.set_value(&zone);
        }
        read();
    });
    view! {
        <fieldset class="schedule" node_ref=fields on:input=move |_| read() on:change=move |_| read()>
            <legend>"Schedule"</legend>
            <Radios field=EVERY choices=&RECURRENCES class="choices row" />
            <Weekdays typed />
            <div class="when-cron">
                <FormField field=LINE />
            </div>
            <div class="schedule-when">
                <div class="when-month">
                    <FormField field=DAY options=month_days() />
                </div>
                <div class="when-time">
                    <FormField field=TIME />
                </div>
                <div class="when-hour">
                    <FormField field=MINUTE />
                </div>
                <div class="when-zone">
                    <FieldFrame state=zone_state>
                        <input
                            id=TIME_ZONE.id
                            name=TIME_ZONE.name
                            list="zones"
                            required
                            spellcheck="false"
                            autocapitalize="none"
                            aria-invalid=move || zone_state.invalid()
                            aria-describedby=move || zone_state.described_by()
                            node_ref=zone_field
                            value=zone_state.value()
                            on:input=move |event| zone_state.typed(&event_target_value(&event))
                            on:change=move |event| zone_state.left_with(&event_target_value(&event))
                        />
                        <datalist id="zones">
                            {ZONES.iter().map(|zone| view! { <option value=*zone></option> }).collect_view()}
                        </datalist>
                    </FieldFrame>
                </div>
            </div>
            <p class="hint when-month">
                "A month that is too short for the day is backed up on its last day."
            </p>
            <Understood form />
            <LookButton />
        </fieldset>
    }
    .into_any()
}

#[component]
fn Weekdays(typed: Typed) -> impl IntoView {
    let ticked = typed.text("weekdays", "7");
    let days = DAYS
        .into_iter()
        .map(|(value, label)| {
            let checked = ticked.split(',').any(|day| day == value);
            view! {
                <label class="check">
                    <input type="checkbox" name="weekdays[]" value=value checked=checked />
                    <span>{label}</span>
                </label>
            }
        })
        .collect_view();
    view! {
        <div class="choices row when-week" role="group" aria-label="On">
            {days}
        </div>
    }
    .into_any()
}

fn month_days() -> Vec<SelectOption> {
    let numbers = (1..=31_u8).map(|day| SelectOption::new(day, day.to_string()));
    numbers.chain([SelectOption::new("last", "the last")]).collect()
}

/// A schedule as it was understood.
#[derive(Clone, PartialEq)]
struct Understanding {
    words: String,
    runs: Vec<NextRun>,
}

/// What is understood of the fields, or why nothing is.
#[component]
fn Understood(form: ReadSignal<Option<ScheduleForm>>) -> impl IntoView {
    let (clock, hydrated) = (use_clock(), use_hydrated());
    let understood = Memo::new(move |_| {
        let now = clock.made_until(hydrated)?;
        form.with(|form| {
            let read = form.as_ref()?.read();
            Some(read.map(|schedule| Understanding {
                words: schedule.describe(),
                runs: next_runs(&schedule, now, NEXT_RUNS),
            }))
        })
    });
    view! {
        <div class="next-runs" role="status">
            {move || match understood.get() {
                None => ().into_any(),
                Some(Err(reason)) => view! { <p class="wrong">{reason}</p> }.into_any(),
                Some(Ok(Understanding { words, runs })) => {
                    let some = !runs.is_empty();
                    view! {
                        <p class="words">{words}</p>
                        {some.then(|| view! { <p>"Next runs"</p> })}
                        {next_run_list(runs)}
                    }
                        .into_any()
                }
            }}
        </div>
    }
    .into_any()
}

/// Sends the form to be looked at only, for browsers in which nothing shows what is understood while it is typed.
#[component]
fn LookButton() -> impl IntoView {
    let hydrated = use_hydrated();
    view! {
        <Show when=move || !hydrated.get()>
            <button type="submit" name="look" value="true" class="button quiet" formnovalidate>
                "Show the next runs"
            </button>
        </Show>
    }
    .into_any()
}

/// What the fields hold now, as the form would be posted.
fn in_browser(fields: &web_sys::HtmlFieldSetElement) -> Option<ScheduleForm> {
    let data = web_sys::FormData::new_with_form(&fields.form()?).ok()?;
    let text = |name: &str| data.get(name).as_string().unwrap_or_default();
    Some(ScheduleForm {
        every: text("every"),
        time: text("time"),
        weekdays: data
            .get_all("weekdays[]")
            .iter()
            .filter_map(|day: JsValue| day.as_string())
            .collect(),
        day: text("day"),
        minute: text("minute"),
        line: text("line"),
        time_zone: text("time_zone"),
    })
}
