//! The form for a new tenant.

use leptos::prelude::*;
use shared::{input, limits::Limit};

use crate::{
    components::{Field, FormError, FormField, SubmitButton, provide_form},
    functions::tenant::CreateTenant,
    refused::{FormState, use_form},
};

const NAME: Field = Field::line("name", "Name")
    .id("tenant-name")
    .required()
    .at_most(Limit::Name)
    .autocomplete("off")
    .rule(|text| input::name("name", text).map(drop));

/// The form; for operators only.
#[component]
pub fn NewTenant() -> impl IntoView {
    let FormState { action, typed, error } = use_form::<CreateTenant>();
    provide_form(typed, error);
    view! {
        <section class="card narrow" aria-labelledby="new-customer">
            <h2 id="new-customer">"New customer"</h2>
            <FormError error />
            <ActionForm action attr:class="form inline">
                <FormField field=NAME />
                <SubmitButton label="Add customer" busy="Adding…" pending=action.pending().into() />
            </ActionForm>
        </section>
    }
    .into_any()
}
