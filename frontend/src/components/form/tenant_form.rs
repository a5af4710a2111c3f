//! A form of a tenant, on a card of its own.

use leptos::prelude::*;
use serde::de::DeserializeOwned;
use server_fn::{Http, ServerFn, client::Client, codec::PostUrl, request::ClientReq};
use web_sys::FormData;

use super::{error::FormError, state::provide_form, submit::SubmitButton};
use crate::{error::ConsoleError, refused::FormState, tenant::use_tenant};

/// The form: why it was refused, its fields, its button and the way back. The tenant is sent along.
#[component]
pub fn TenantForm<F, P>(
    /// What posts it.
    form: FormState<F>,
    /// What its button does.
    submit: &'static str,
    /// What its button says while the server works.
    busy: &'static str,
    /// The fields.
    children: Children,
) -> impl IntoView
where
    F: ServerFn<Protocol = Http<PostUrl, P>, Error = ConsoleError>
        + DeserializeOwned
        + Clone
        + Send
        + Sync
        + 'static,
    F::Output: Clone + Send + Sync + 'static,
    F::Client: Client<ConsoleError>,
    <<F::Client as Client<ConsoleError>>::Request as ClientReq<ConsoleError>>::FormData: From<FormData>,
    P: 'static,
{
    let FormState { action, typed, error } = form;
    provide_form(typed, error);
    let tenant = use_tenant();
    let (name, id) = tenant.hidden();
    view! {
        <div class="card narrow">
            <FormError error />
            <ActionForm action attr:class="form" attr:autocomplete="off">
                <input type="hidden" name=name value=id />
                {children()}
                <div class="form-end">
                    <SubmitButton label=submit busy pending=action.pending().into() />
                    <a class="button quiet" href=tenant.path("")>
                        "Cancel"
                    </a>
                </div>
            </ActionForm>
        </div>
    }
    .into_any()
}
