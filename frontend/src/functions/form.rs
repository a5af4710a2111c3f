//! Answers to forms that are posted without, or before, hydration.

use server_fn::{ServerFn, error::ServerFnUrlError};

use super::status::{answer, wants_html};
use crate::error::ConsoleError;

/// Sends a plain form post on to `path`; the hydrated console stays where it is and shows the answer in place.
pub fn plain_post_goes_to(path: &str) {
    if wants_html() {
        leptos_axum::redirect(path);
    }
}

/// When the use case refused a plain form post: back to the form's page, with the reason and with what was
/// typed (never a secret) in the address, from where the page fills the form in again.
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
        // Only path and query are used; the parser wants a host.
        if let Ok(mut url) =
            ServerFnUrlError::new(F::PATH, error.clone()).to_url(&format!("http://console{page}"))
        {
            url.query_pairs_mut().extend_pairs(typed);
            leptos_axum::redirect(&format!("{}?{}", url.path(), url.query().unwrap_or_default()));
        }
    }
    answer(result)
}
