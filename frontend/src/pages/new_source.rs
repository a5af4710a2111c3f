//! The form for a source: what to back up, and when.

use leptos::prelude::*;
use leptos_meta::Title;
use shared::api::view::AgentView;

use super::tenant::tenant_once;
use crate::{
    clock::zone,
    components::{Crumbs, Empty, Field, FormError, Loading, SubmitButton, Typed, problem_page, use_typed},
    functions::source::CreateSource,
    tenant::use_tenant,
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

/// The page.
#[component]
pub fn NewSourcePage() -> impl IntoView {
    let tenant = use_tenant();
    let page = tenant_once();
    let create = ServerAction::<CreateSource>::new();
    view! {
        <Title text="New source" />
        <Crumbs above=vec![(tenant.path(""), "Overview".to_owned())] here="New source" />
        <h1>"New source"</h1>
        <p class="lead">"Folders of one endpoint, and when to back them up."</p>
        <Transition fallback=|| view! { <Loading /> }>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(page) if page.agents.is_empty() => {
                        view! {
                            <Empty title="An endpoint comes first">
                                <p>"Enroll the machine to back up; its agent then shows up here."</p>
                                <p>
                                    <a class="button primary" href=tenant.path("/agents")>
                                        "To the agents"
                                    </a>
                                </p>
                            </Empty>
                        }
                            .into_any()
                    }
                    Ok(page) => view! { <Form agents=page.agents create /> }.into_any(),
                    Err(error) => problem_page(error),
                }
            })}
        </Transition>
    }
    .into_any()
}

#[component]
fn Form(agents: Vec<AgentView>, create: ServerAction<CreateSource>) -> impl IntoView {
    let tenant = use_tenant();
    let typed = use_typed();
    let error = Signal::derive(move || create.value().get().and_then(Result::err));
    let id = tenant.id.get_untracked().map(|id| id.to_string());
    let options = agents
        .into_iter()
        .map(|agent| {
            let id = agent.id.to_string();
            let selected = typed.is("agent_id", &id, false);
            let state = if agent.online { "online" } else { "not seen lately" };
            view! {
                <option value=id selected=selected>
                    {format!("{} ({}, {state})", agent.hostname, agent.os)}
                </option>
            }
        })
        .collect_view();
    view! {
        <div class="card narrow">
            <FormError error />
            <ActionForm action=create attr:class="form" attr:autocomplete="off">
                <input type="hidden" name="tenant" value=id />
                <Field id="agent_id" label="Endpoint">
                    <select id="agent_id" name="agent_id" required>
                        {options}
                    </select>
                </Field>
                <Field id="name" label="Name" hint="Such as “Accounting files”.">
                    <input
                        id="name"
                        name="name"
                        required
                        maxlength="100"
                        aria-describedby="name-hint"
                        value=typed.text("name", "")
                    />
                </Field>
                <Field id="paths" label="Paths" hint="Absolute, one a line.">
                    <textarea
                        id="paths"
                        name="paths"
                        class="mono"
                        rows="4"
                        required
                        spellcheck="false"
                        autocapitalize="none"
                        aria-describedby="paths-hint"
                    >
                        {typed.text("paths", "")}
                    </textarea>
                </Field>
                <Field
                    id="excludes"
                    label="Leave out (optional)"
                    hint="Patterns in gitignore syntax, one a line, such as *.tmp or /cache/"
                >
                    <textarea
                        id="excludes"
                        name="excludes"
                        class="mono"
                        rows="3"
                        spellcheck="false"
                        autocapitalize="none"
                        aria-describedby="excludes-hint"
                    >
                        {typed.text("excludes", "")}
                    </textarea>
                </Field>
                <ScheduleFields typed />
                <div class="form-end">
                    <SubmitButton label="Add source" busy="Adding…" pending=create.pending().into() />
                    <a class="button quiet" href=tenant.path("")>
                        "Cancel"
                    </a>
                </div>
            </ActionForm>
        </div>
    }
    .into_any()
}

/// Without hydration every field is there and says when it counts; the style sheet shows those that do.
#[component]
fn ScheduleFields(typed: Typed) -> impl IntoView {
    let every = typed.text("every", "day");
    let weekday = typed.text("weekday", "7");
    let choice = |value: &'static str, label: &'static str| {
        let checked = every == value;
        view! {
            <label class="check">
                <input type="radio" name="every" value=value checked=checked />
                <span>{label}</span>
            </label>
        }
    };
    let days = DAYS
        .into_iter()
        .map(|(value, label)| {
            let selected = weekday == value;
            view! {
                <option value=value selected=selected>
                    {label}
                </option>
            }
        })
        .collect_view();
    let zone_field = NodeRef::<leptos::html::Input>::new();
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
    });
    view! {
        <fieldset class="schedule">
            <legend>"Schedule"</legend>
            <div class="choices row" role="radiogroup" aria-label="How often">
                {choice("hour", "Each hour")}
                {choice("day", "Each day")}
                {choice("week", "Each week")}
                {choice("manual", "Only when asked")}
            </div>
            <div class="schedule-when">
                <div class="when-week">
                    <Field id="weekday" label="On">
                        <select id="weekday" name="weekday">
                            {days}
                        </select>
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
        </fieldset>
    }
    .into_any()
}
