//! What the operators of the instance have to know, above the overview.

use leptos::prelude::*;
use shared::api::notice::Notice;

use super::{
    At, FormError, SubmitButton,
    icon::{Icon, Sign},
};
use crate::{
    functions::notice::{SettleNotice, load_notices},
    reach::fetched,
    refused::{FormState, use_form},
};

/// The open notices, each with a button for whoever has dealt with it. Nothing where there are none.
#[component]
pub fn Notices() -> impl IntoView {
    let form = use_form::<SettleNotice>();
    let settle = form.action;
    let notices = Resource::new(move || settle.version().get(), |_| fetched(load_notices));
    view! {
        <Transition>
            {move || Suspend::new(async move {
                notices
                    .await
                    .unwrap_or_default()
                    .into_iter()
                    .map(|notice| view! { <OneNotice notice form /> })
                    .collect_view()
            })}
        </Transition>
    }
    .into_any()
}

#[component]
fn OneNotice(notice: Notice, form: FormState<SettleNotice>) -> impl IntoView {
    let FormState {
        action: settle,
        error,
        ..
    } = form;
    view! {
        <section class="notice bad">
            <Icon sign=Sign::Failure />
            <div>
            <h2>{notice.kind.title()}</h2>
            <p>{notice.text}</p>
            <p class="muted">"Found " <At at=notice.found_at /></p>
            <FormError error />
            <ActionForm action=settle attr:class="form inline">
                <input type="hidden" name="notice" value=notice.id.to_string() />
                <SubmitButton label="This is dealt with" busy="Noting…" pending=settle.pending().into() />
            </ActionForm>
            </div>
        </section>
    }
    .into_any()
}
