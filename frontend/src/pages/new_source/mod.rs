//! The form for a source: what to back up, and when.

mod schedule_fields;

use leptos::prelude::*;
use leptos_meta::Title;
use shared::{api::view::AgentView, limits::Limit};

use self::schedule_fields::ScheduleFields;
use super::tenant::tenant_once;
use crate::{
    clock::use_hydrated,
    components::{Crumbs, Empty, Field, FormError, FormProblem, Loading, SubmitButton, problem_page},
    functions::source::CreateSource,
    refused::{FormState, use_form},
    tenant::use_tenant,
};

/// The page.
#[component]
pub fn NewSourcePage() -> impl IntoView {
    let tenant = use_tenant();
    let page = tenant_once();
    let form = use_form::<CreateSource>();
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
                    Ok(page) => view! { <Form agents=page.agents form /> }.into_any(),
                    Err(error) => problem_page(error),
                }
            })}
        </Transition>
    }
    .into_any()
}

#[component]
fn Form(agents: Vec<AgentView>, form: FormState<CreateSource>) -> impl IntoView {
    let tenant = use_tenant();
    let FormState {
        action: create,
        typed,
        error,
    } = form;
    provide_context(FormProblem(error));
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
                        maxlength=Limit::Name.max().to_string()
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
                    <LookButton />
                    <a class="button quiet" href=tenant.path("")>
                        "Cancel"
                    </a>
                </div>
            </ActionForm>
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
