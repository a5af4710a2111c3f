//! The fields that say when a source is backed up, what was understood of them, and the next runs: of what is typed in a
//! browser that has taken over, else of what was sent.

use leptos::{html, prelude::*};
use shared::limits::Limit;
use wasm_bindgen::JsValue;

use crate::{
    clock::{use_clock, use_hydrated, zone},
    components::{Field, NEXT_RUNS, next_run_list},
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

/// Without hydration every field is there; the style sheet shows those that count for the chosen recurrence.
#[component]
pub fn ScheduleFields(typed: Typed) -> impl IntoView {
    let fields = NodeRef::<html::Fieldset>::new();
    let (form, set_form) = signal(ScheduleForm::typed(|field| typed.get(field)));
    let read = move || set_form.set(fields.get_untracked().and_then(|fields| in_browser(&fields)));
    let zone_field = NodeRef::<html::Input>::new();
    let zone_typed = typed.text("time_zone", "");
    let zone_known = !zone_typed.is_empty();
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
    let every = typed.text("every", "day");
    let choice = |value: &'static str, label: &'static str| {
        let checked = every == value;
        view! {
            <label class="check">
                <input type="radio" name="every" value=value checked=checked />
                <span>{label}</span>
            </label>
        }
    };
    view! {
        <fieldset class="schedule" node_ref=fields on:input=move |_| read() on:change=move |_| read()>
            <legend>"Schedule"</legend>
            <div class="choices row" role="radiogroup" aria-label="How often">
                {choice("hour", "Each hour")}
                {choice("day", "Each day")}
                {choice("week", "Each week")}
                {choice("month", "Each month")}
                {choice("cron", "Cron line")}
                {choice("manual", "Only when asked")}
            </div>
            <Weekdays typed />
            <div class="when-cron">
                <Field
                    id="line"
                    label="Cron line"
                    hint="Minute, hour, day of month, month, day of week: 30 2 * * 1-5 is 02:30 from Monday to Friday."
                >
                    <input
                        id="line"
                        name="line"
                        class="mono"
                        maxlength=Limit::CronLine.max().to_string()
                        spellcheck="false"
                        autocapitalize="none"
                        aria-describedby="line-hint"
                        value=typed.text("line", "30 2 * * 1-5")
                    />
                </Field>
            </div>
            <div class="schedule-when">
                <div class="when-month">
                    <Field id="day" label="On day">
                        <MonthDays typed />
                    </Field>
                </div>
                <div class="when-time">
                    <Field id="time" label="At">
                        <input id="time" name="time" type="time" value=typed.text("time", "02:30") />
                    </Field>
                </div>
                <div class="when-hour">
                    <Field id="minute" label="Minutes past the hour">
                        <input
                            id="minute"
                            name="minute"
                            type="number"
                            inputmode="numeric"
                            min="0"
                            max="59"
                            value=typed.text("minute", "15")
                        />
                    </Field>
                </div>
                <div class="when-zone">
                    <Field id="time_zone" label="Time zone">
                        <input
                            id="time_zone"
                            name="time_zone"
                            list="zones"
                            required
                            spellcheck="false"
                            node_ref=zone_field
                            value=if zone_known { zone_typed } else { "UTC".to_owned() }
                        />
                        <datalist id="zones">
                            {ZONES.iter().map(|zone| view! { <option value=*zone></option> }).collect_view()}
                        </datalist>
                    </Field>
                </div>
            </div>
            <p class="hint when-month">
                "A month that is too short for the day is backed up on its last day."
            </p>
            <Understood form />
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

#[component]
fn MonthDays(typed: Typed) -> impl IntoView {
    let chosen = typed.text("day", "1");
    let numbers = (1..=31_u8)
        .map(|day| {
            let selected = chosen == day.to_string();
            view! {
                <option value=day selected=selected>
                    {day}
                </option>
            }
        })
        .collect_view();
    let last = chosen == "last";
    view! {
        <select id="day" name="day">
            {numbers}
            <option value="last" selected=last>
                "the last"
            </option>
        </select>
    }
    .into_any()
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
