//! What the operators of the instance have to know, above the overview.

use leptos::prelude::*;
use shared::api::notice::Notice;

use super::{
    form::{ButtonForm, FormError},
    icon::{Icon, Sign},
    time::At,
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
    view! {
        <section class="notice bad">
            <Icon sign=Sign::Failure />
            <div>
            <h2>{notice.kind.title()}</h2>
            <p>{notice.text}</p>
            <p class="muted">"Found " <At at=notice.found_at /></p>
            <FormError error=form.error />
            <ButtonForm
                form
                values=vec![("notice", notice.id.to_string())]
                label="This is dealt with"
                busy="Noting…"
                class="button primary"
            />
            </div>
        </section>
    }
    .into_any()
}
