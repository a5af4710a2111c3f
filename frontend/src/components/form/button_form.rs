//! A form that is one button.

use leptos::prelude::*;
use serde::de::DeserializeOwned;
use server_fn::{Http, ServerFn, client::Client, codec::PostUrl, request::ClientReq};
use web_sys::FormData;

use super::submit::SubmitButton;
use crate::{error::ConsoleError, refused::FormState};

/// A button that posts fixed values.
#[component]
pub fn ButtonForm<F, P>(
    /// What posts it.
    form: FormState<F>,
    /// What is sent.
    values: Vec<(&'static str, String)>,
    /// What the button does.
    label: &'static str,
    /// What it says while the server works.
    busy: &'static str,
    /// Its classes.
    #[prop(default = "button")]
    class: &'static str,
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
    let action = form.action;
    let values = values
        .into_iter()
        .map(|(name, value)| view! { <input type="hidden" name=name value=value /> });
    view! {
        <ActionForm action>
            {values.collect_view()}
            <SubmitButton label busy pending=action.pending().into() class />
        </ActionForm>
    }
    .into_any()
}
