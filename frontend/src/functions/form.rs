//! Answers to forms that are posted without, or before, hydration.

use server_fn::{ServerFn, error::ServerFnUrlError};

use shared::limits::Limit;

use super::status::{answer, wants_html};
use crate::error::ConsoleError;

/// Sends a plain form post on to `path`; the hydrated console stays where it is and shows the answer in place.
pub fn plain_post_goes_to(path: &str) {
    if wants_html() {
        leptos_axum::redirect(path);
    }
}

/// The fields that an address has room for, in their order: browsers and servers refuse longer addresses. What is left out comes
/// back empty.
fn that_fit<'a>(typed: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut room = Limit::TypedText.max();
    typed
        .iter()
        .copied()
        .filter(|(_, text)| {
            let length = length_in_address(text);
            let fits = length <= room;
            room -= if fits { length } else { 0 };
            fits
        })
        .collect()
}

/// How long a text is in an address: letters, digits, four signs and the space stay one byte (application/x-www-form-urlencoded).
fn length_in_address(text: &str) -> usize {
    let length = |byte: u8| match byte {
        b'*' | b'-' | b'.' | b'_' | b' ' => 1,
        byte if byte.is_ascii_alphanumeric() => 1,
        _ => 3,
    };
    text.bytes().map(length).sum()
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
            url.query_pairs_mut().extend_pairs(that_fit(typed));
            leptos_axum::redirect(&format!("{}?{}", url.path(), url.query().unwrap_or_default()));
        }
    }
    answer(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_carries_what_fits() {
        let long = "/".repeat(Limit::TypedText.max() / 3 + 1);
        let most = "x".repeat(Limit::TypedText.max() - 11);
        let typed = [
            ("paths", long.as_str()),
            ("name", "a/ü"),
            ("excludes", &most),
            ("line", "xxx"),
        ];
        let fit: Vec<&str> = that_fit(&typed).into_iter().map(|(field, _)| field).collect();
        assert_eq!(fit, ["name", "excludes"]);
    }
}
