//! A form that the server refused before, or without, hydration: why, and what was typed. It comes back with the form's page in a
//! sealed cookie and never in an address (see `functions/sealed_cookie.rs`), and is in the page's data for the browser.

use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_location;

use crate::error::ConsoleError;
pub use crate::refused_form::Refused;

/// The form that this page's address was refused with, if any.
#[derive(Clone, Copy)]
struct RefusedForm(StoredValue<Option<Refused>>);

/// Makes it known to everything below, until the browser goes to another page.
pub fn provide(refused: Option<Refused>) {
    provide_context(RefusedForm(StoredValue::new(refused)));
}

/// Forgets it once another page is shown. Below the router.
#[component]
pub fn ForgetRefused() -> impl IntoView {
    let refused = expect_context::<RefusedForm>();
    let pathname = use_location().pathname;
    Effect::new(move |before: Option<String>| {
        let path = pathname.get();
        if before.is_some_and(|before| before != path) {
            refused.0.set_value(None);
        }
        path
    });
}

/// What was typed into a form that was refused.
#[derive(Clone, Copy)]
pub struct Typed(StoredValue<Vec<(String, String)>>);

impl Typed {
    /// A field's text, or `default`.
    pub fn text(self, field: &str, default: &str) -> String {
        self.get(field).unwrap_or_else(|| default.to_owned())
    }

    /// Whether a field held `value`; `default` when nothing is known of it.
    pub fn is(self, field: &str, value: &str, default: bool) -> bool {
        self.get(field).map_or(default, |text| text == value)
    }

    /// A field's text, if anything is known of it.
    pub fn get(self, field: &str) -> Option<String> {
        self.0.with_value(|typed| {
            let found = typed.iter().find(|(name, _)| name == field);
            found.map(|(_, text)| text.clone())
        })
    }
}

/// A form: what posts it, what was typed into it and why it was refused.
pub struct FormState<F>
where
    F: ServerFn + 'static,
    F::Output: 'static,
    F::Error: 'static,
{
    /// What posts it once the page is hydrated.
    pub action: ServerAction<F>,
    /// What was typed when the page was made.
    pub typed: Typed,
    /// Why the last post was refused.
    pub error: Signal<Option<ConsoleError>>,
}

impl<F> Clone for FormState<F>
where
    F: ServerFn + 'static,
{
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for FormState<F> where F: ServerFn + 'static {}

/// The state of the form that `F` is posted by.
pub fn use_form<F>() -> FormState<F>
where
    F: ServerFn<Error = ConsoleError> + Clone + Send + Sync + 'static,
    F::Output: Clone + Send + Sync + 'static,
{
    use_form_where(|_| true)
}

/// The same, of one among several forms of a page: the one of which this is true by what was typed.
pub fn use_form_where<F>(is_this: impl Fn(&Refused) -> bool) -> FormState<F>
where
    F: ServerFn<Error = ConsoleError> + Clone + Send + Sync + 'static,
    F::Output: Clone + Send + Sync + 'static,
{
    let action = ServerAction::<F>::new();
    // The framework takes an error from the address, where a stranger's link may put any sentence.
    action.value().set(None);
    let page = use_context::<RefusedForm>();
    let refused = page.and_then(|page| {
        let refused = page.0.get_value()?;
        (refused.form == F::PATH && is_this(&refused)).then_some(refused)
    });
    if refused.is_some() {
        // A list that is drawn anew must not tell it again once the form was posted from here.
        Effect::new(move || {
            if action.version().get() > 0
                && let Some(page) = page
            {
                page.0.set_value(None);
            }
        });
    }
    #[cfg(feature = "ssr")]
    if refused.is_some() {
        crate::functions::form::forget();
    }
    let (error, typed) = refused
        .map(|refused| (refused.error, refused.typed))
        .unwrap_or_default();
    let first = StoredValue::new(error);
    FormState {
        action,
        typed: Typed(StoredValue::new(typed)),
        error: Signal::derive(move || match action.value().get() {
            Some(result) => result.err(),
            None => first.get_value(),
        }),
    }
}
