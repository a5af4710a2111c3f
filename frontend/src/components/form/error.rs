//! Why the server refused a form.

use leptos::prelude::*;

use crate::{
    components::{
        icon::{Icon, Sign},
        problem::sign_in_and_come_back,
    },
    error::ConsoleError,
};

/// Why the server refused the form, above it.
#[component]
pub fn FormError(
    /// The error, if there is one.
    error: Signal<Option<ConsoleError>>,
) -> impl IntoView {
    view! {
        <div class="form-error-place" role="alert">
            {move || {
                error
                    .get()
                    .map(|error| {
                        let sign_in = (error == ConsoleError::SignInNeeded)
                            .then(|| {
                                view! {
                                    " "
                                    <a href=sign_in_and_come_back()>"Sign in again"</a>
                                    ": you then come back to this page."
                                }
                            });
                        view! {
                            <div class="notice bad">
                                <Icon sign=Sign::Failure />
                                <p>{error.to_string()} {sign_in}</p>
                            </div>
                        }
                    })
            }}
        </div>
    }
    .into_any()
}
