//! The fields of a source.

use leptos::prelude::*;
use shared::{api::view::AgentView, input, limits::Limit};

use super::schedule_fields::ScheduleFields;
use crate::{
    components::{Field, FormField, SelectOption, TenantForm},
    functions::source::CreateSource,
    refused::FormState,
};

const AGENT: Field = Field::choice("agent_id", "Machine").required();

const NAME: Field = Field::line("name", "Name")
    .hint("Such as “Accounting files”.")
    .required()
    .at_most(Limit::Name)
    .rule(|text| input::name("name", text).map(drop));

const PATHS: Field = Field::lines("paths", "Paths", 4)
    .hint("Absolute, one a line.")
    .required()
    .mono()
    .rule(|text| input::paths(text).map(drop));

const EXCLUDES: Field = Field::lines("excludes", "Leave out (optional)", 3)
    .hint("Patterns in gitignore syntax, one a line, such as *.tmp or /cache/")
    .mono()
    .rule(|text| input::excludes(text).map(drop));

/// The form.
#[component]
pub fn SourceForm(agents: Vec<AgentView>, form: FormState<CreateSource>) -> impl IntoView {
    let typed = form.typed;
    let options = agents.into_iter().map(|agent| {
        let state = if agent.online { "online" } else { "not seen lately" };
        SelectOption::new(agent.id, format!("{} ({}, {state})", agent.hostname, agent.os))
    });
    let options = options.collect::<Vec<_>>();
    view! {
        <TenantForm form submit="Add source" busy="Adding…">
            <FormField field=AGENT options />
            <FormField field=NAME />
            <FormField field=PATHS />
            <FormField field=EXCLUDES />
            <ScheduleFields typed />
        </TenantForm>
    }
    .into_any()
}
