//! Answers to forms that are posted without, or before, hydration.

use http::{HeaderValue, request::Parts};
use leptos::prelude::use_context;
use repository::kit::holds_secret_words;
use server_fn::ServerFn;
use shared::limits::Limit;

use super::{
    sealed_cookie::REFUSED_FORM,
    status::{answer, wants_html},
};
use crate::{backend::Backend, error::ConsoleError, refused_form::Refused};

/// Sends a plain form post on to `path`; the hydrated console stays where it is and shows the answer in place.
pub fn plain_post_goes_to(path: &str) {
    if wants_html() {
        leptos_axum::redirect(path);
    }
}

/// The fields that a cookie has room for, in their order. What is left out comes back empty.
fn that_fit(typed: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut room = Limit::TypedText.max();
    let fits = |(field, text): &&(&str, &str)| {
        let length = length_in_json(field) + length_in_json(text);
        let fits = length <= room;
        room -= if fits { length } else { 0 };
        fits
    };
    let fit = typed
        .iter()
        .filter(|(_, text)| !holds_secret_words(text))
        .filter(fits);
    fit.map(|(field, text)| ((*field).to_owned(), (*text).to_owned()))
        .collect()
}

/// How long a text is as a JSON string, with what stands around it in a list of pairs.
fn length_in_json(text: &str) -> usize {
    serde_json::to_string(text).map_or(usize::MAX / 4, |json| json.len() + 2)
}

/// When the use case refused a plain form post: back to the form's page, which shows the reason and what was typed. Secrets are
/// not among `typed`, and the words of a recovery kit, wherever they were pasted, are left out. Who is signed out comes back by way of the sign-in page.
pub fn back_to_form<F, T>(
    result: Result<T, ConsoleError>,
    page: &str,
    typed: &[(&str, &str)],
) -> Result<T, ConsoleError>
where
    F: ServerFn<Error = ConsoleError>,
{
    if let Err(error) = &result
        && wants_html()
    {
        let is_signed_out = *error == ConsoleError::SignInNeeded;
        let refused = Refused {
            page: page.split('?').next().unwrap_or_default().to_owned(),
            form: F::PATH.to_owned(),
            error: (!is_signed_out).then(|| error.clone()),
            typed: that_fit(typed),
        };
        // A reason that leaves no room for what was typed is told without it.
        let without = Refused {
            typed: Vec::new(),
            ..refused.clone()
        };
        let _ = REFUSED_FORM.give(&refused) || REFUSED_FORM.give(&without);
        if is_signed_out {
            leptos_axum::redirect(&crate::components::sign_in_page(page));
        } else {
            leptos_axum::redirect(page);
        }
    }
    answer(result)
}

/// Shows a form again that was posted to be looked at only: back to its page with what was typed, and without a reason.
pub fn show_again<F: ServerFn>(page: &str, typed: &[(&str, &str)]) {
    let shown = Refused {
        page: page.split('?').next().unwrap_or_default().to_owned(),
        form: F::PATH.to_owned(),
        error: None,
        typed: that_fit(typed),
    };
    let _ = REFUSED_FORM.give(&shown);
    plain_post_goes_to(page);
}

/// The cookie that tells a form's page that the post to `form` did not arrive whole. For the framework's own refusals, which it
/// would tell by an address.
#[must_use]
pub fn unreadable(backend: &dyn Backend, page: &str, form: &str) -> Option<HeaderValue> {
    let refused = Refused {
        page: page.to_owned(),
        form: form.to_owned(),
        error: Some(ConsoleError::unreadable()),
        typed: Vec::new(),
    };
    REFUSED_FORM.header(backend, &refused)
}

/// The form that the page which is asked for was refused with.
pub fn refused_here() -> Option<Refused> {
    let parts = use_context::<Parts>()?;
    let refused: Refused = REFUSED_FORM.read()?;
    (refused.page == parts.uri.path()).then_some(refused)
}

/// It was shown.
pub fn forget() {
    REFUSED_FORM.forget();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_carries_what_fits() {
        let long = "/".repeat(Limit::TypedText.max());
        let most = "x".repeat(Limit::TypedText.max() - 50);
        let typed = [
            ("paths", long.as_str()),
            ("name", "a/ü\n"),
            ("recovery_key", "abandon ability able about"),
            ("excludes", &most),
            ("line", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        ];
        let fit: Vec<String> = that_fit(&typed).into_iter().map(|(field, _)| field).collect();
        assert_eq!(fit, ["name", "excludes"]);
        let all = serde_json::to_string(&that_fit(&typed)).unwrap();
        assert!(all.len() <= Limit::TypedText.max() + 2, "{}", all.len());
    }
}
