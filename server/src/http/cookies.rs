//! The two cookies: the session's, and that of a known browser.
//!
//! Where browsers come by https only, both are `Secure` and named `__Host-…`: browsers then take them from this host alone, for all
//! of it, and from nothing that is not https.

use axum::http::{HeaderMap, HeaderValue, header};
use tower_sessions::cookie::{Cookie, SameSite, time::Duration};

use crate::{app::App, sign_in::KNOWN_FOR};

/// The name of the session's cookie.
pub const fn session_name(https: bool) -> &'static str {
    if https {
        "__Host-holdfast_session"
    } else {
        "holdfast_session"
    }
}

/// The name of a known browser's cookie.
const fn browser_name(https: bool) -> &'static str {
    if https {
        "__Host-holdfast_browser"
    } else {
        "holdfast_browser"
    }
}

/// What a browser says that it is, if it says anything.
pub fn browser(app: &App, headers: &HeaderMap) -> Option<String> {
    let name = browser_name(app.is_https());
    let values = headers.get_all(header::COOKIE).iter();
    let mut cookies = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(Cookie::split_parse)
        .flatten();
    cookies
        .find(|cookie| cookie.name() == name)
        .map(|cookie| cookie.value().to_owned())
}

/// The header that makes a browser known.
pub fn set_browser(app: &App, value: String) -> Option<HeaderValue> {
    let https = app.is_https();
    let cookie = Cookie::build((browser_name(https), value))
        .path("/")
        .http_only(true)
        .secure(https)
        .same_site(SameSite::Lax)
        .max_age(Duration::seconds(KNOWN_FOR.as_secs()));
    HeaderValue::try_from(cookie.build().to_string()).ok()
}
